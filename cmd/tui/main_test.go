package main

import (
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// A wrong command line ends with 1 before any store is opened, and the error repeats none of
// the arguments, because any of them may be a secret.
func TestBadCommandLines(t *testing.T) {
	secret := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for _, args := range [][]string{
		{secret},
		{"--db", secret},
		{"--server", secret},
		{"--server=https://" + secret},
		{"--server"},
		{"--db=" + secret},
		{"--" + secret},
		{"--" + secret[20:]},
		{secret[20:]},
		{"--read-only=" + secret[20:]},
		{"--db"},
		{"keys.db"},
		{}, // a test has no terminal
	} {
		code, err := run(t.Context(), args)
		if code != 1 || err == nil {
			t.Errorf("run(%d arguments): got code %d, %v; want 1", len(args), code, err)
		}
		if err != nil && strings.Contains(err.Error(), secret[20:]) {
			t.Errorf("the error repeats a part of the secret: %v", err)
		}
	}
}
