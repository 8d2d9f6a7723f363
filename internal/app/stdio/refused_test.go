//go:build linux

package stdio_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error with %q", err, part)
	}
}

func TestNewRefuses(t *testing.T) {
	root := os.Geteuid() == 0
	for _, tc := range []struct {
		name string
		o    stdio.Options
		want string
	}{
		{"no command", stdio.Options{}, "command of the MCP server is missing"},
		{"an unknown program", with(stdio.Options{Command: []string{"no-such-program"}}), "program no-such-program not found"},
		{"both users", stdio.Options{Command: []string{binary}, User: "nobody", SameUser: true}, "exclude each other"},
		{"a directory that does not exist", with(stdio.Options{Dir: "/no-such-directory"}), "directory /no-such-directory"},
		{"a variable of keyctl", with(stdio.Options{Env: []string{"MCPKEYS_DB"}}), "MCPKEYS_DB is not passed"},
		{"a variable that is not set", with(stdio.Options{Env: []string{"NOT_SET_HERE"}}), "NOT_SET_HERE is not set"},
		{"a variable without name", with(stdio.Options{Env: []string{"=x"}}), "needs a name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := stdio.New(tc.o)
			wantError(t, err, tc.want)
		})
	}
	if !root {
		return // see TestOtherUserReadsNothingOfTheGuard
	}
	for user, want := range map[string]string{"": "as root", "no-such-user": `user "no-such-user" not found`, "root": "must not be root", "0": "must not be root"} {
		_, err := stdio.New(stdio.Options{Command: []string{binary}, User: user})
		wantError(t, err, want)
	}
	_, err := stdio.New(stdio.Options{Command: []string{binary}, SameUser: true})
	wantError(t, err, "as root")
}

func with(o stdio.Options) stdio.Options {
	if o.Command == nil {
		o.Command = []string{binary}
	}
	asUser(&o)
	return o
}
