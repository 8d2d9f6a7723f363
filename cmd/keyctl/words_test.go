package main

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"issue", "list", "ls", "revoke", "verify", "expires", "expiring-within"}
	for typed, want := range map[string]string{
		"isue": "issue", "lsit": "list", "revoek": "revoke", "expire": "expires", "verif": "verify",
		"frobnicate": "", "x": "", "": "",
	} {
		if got := nearest(typed, words); got != want {
			t.Errorf("nearest(%q): got %q, want %q", typed, got, want)
		}
	}
}

// What may be a piece of a secret is named by its place, not repeated.
func TestMention(t *testing.T) {
	for typed, want := range map[string]string{
		"ci": `"ci"`, "data-team/nightly-report": `"data-team/nightly-report"`,
		"mcpk_": "argument 3", "MCPK_abc": "argument 3", "x\x1b[0m": "argument 3", "": "argument 3",
		strings.Repeat("a", 30):                     "argument 3",
		"AbCdEfGhIjKl_0123456789012345678901234567": "argument 3",
		// Twenty characters from the middle of a secret, also across its underscore.
		"0123456789abcdefghij": "argument 3", "fGhIjKl_0123456789ab": "argument 3", "x-0123456789abcdefghij": "argument 3",
		"data_team_ci": `"data_team_ci"`,
	} {
		if got := mention(typed, 3); got != want {
			t.Errorf("mention(%q): got %s, want %s", typed, got, want)
		}
	}
}
