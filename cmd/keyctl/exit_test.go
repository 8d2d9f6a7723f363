package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// The text to add to a pepper file is on a separate line, so that it can be copied.
func TestLineForAPepperFile(t *testing.T) {
	e, _, stderr := testEnv(t)
	a := &app{env: e, output: formatTable}
	err := fmt.Errorf("make key store keys.db: %w", &sqlite.PepperLineError{Path: "pepper", Line: "store 88fc", Cause: errors.New("read-only file system")})
	if got := a.report(err, false); got != exitStore {
		t.Errorf("got exit code %d, want %d", got, exitStore)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != 2 || lines[1] != "store 88fc" || !strings.HasSuffix(lines[0], "--same-store") {
		t.Errorf("got %q, want what to do and then the line", lines)
	}
}

func TestLastChanges(t *testing.T) {
	for n, want := range map[uint64]string{1: "change", 3: "3 changes"} {
		if got := lastChanges(n); got != want {
			t.Errorf("the last %s, want the last %s", got, want)
		}
	}
}

// Every error has an exit code and a word; an unknown error counts as one of the store.
func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want outcome
	}{
		{nil, outcome{0, ""}},
		{usagef("x"), outcome{1, "usage"}},
		{&keys.InvalidError{}, outcome{1, "invalid_argument"}},
		{fmt.Errorf("x: %w", keys.ErrTampered), outcome{2, "unavailable"}},
		{fmt.Errorf("x"), outcome{2, "unavailable"}},
		{fmt.Errorf("x: %w", keys.ErrNotFound), outcome{6, "not_found"}},
		{fmt.Errorf("x: %w", keys.ErrNameTaken), outcome{7, "conflict"}},
		{fmt.Errorf("x: %w", store.NotAnnounced(keys.ErrUnavailable)), outcome{2, "not_announced"}},
		{&store.WrittenError{What: "x", Cause: keys.ErrConflict}, outcome{2, "unfinished"}},
		{fmt.Errorf("x: %w", &store.MayBeLostError{Cause: keys.ErrUnavailable}), outcome{8, "may_be_lost"}},
		{fmt.Errorf("x: %w", context.Canceled), outcome{130, "interrupted"}},
		{&admin.AmbiguousError{}, outcome{7, "conflict"}},
	} {
		if got := outcomeOf(tc.err); got != tc.want {
			t.Errorf("outcomeOf(%v): got %v, want %v", tc.err, got, tc.want)
		}
	}
}

// An error names each field as the user typed it.
func TestTyped(t *testing.T) {
	for _, tc := range []struct {
		args string
		err  error
		want string
	}{
		{"issue ci --rate x", keys.Invalid("rate_limit", "is bad"), "--rate is bad"},
		{"issue ci --expires x", keys.Invalid("expires", "is bad"), "--expires is bad"},
		{"issue ci --max-key-life x", keys.Invalid("max_key_life", "is bad"), "--max-key-life is bad"},
		{"issue ci --tool x --scope y", keys.Invalid("scopes", "are bad"), "--scope or --tool are bad"},
		{"issue ci", keys.Invalid("name", "is bad"), "NAME is bad"},
		{"edit ci --name x", keys.Invalid("name", "is bad"), "--name is bad"},
		{"edit ci", keys.Invalid("edit", "changes nothing"), "edit changes nothing"},
		{"list", keys.Invalid("server", "is bad"), "KEYCTL_SERVER is bad"},
		{"list --server x", keys.Invalid("server", "is bad"), "--server is bad"},
		{"list", keys.Invalid("KEYCTL_ADMIN_KEY_FILE", "is not set"), "KEYCTL_ADMIN_KEY_FILE is not set"},
		{"restore x", keys.Invalid("backup", "is bad"), "FILE is bad"},
		{"serve", keys.Invalid("certificate", "is bad"), "--tls-cert and --tls-key is bad"},
		{"serve", keys.Invalid("listen", "is bad"), "--listen is bad"},
		{"issue ci", keys.Invalid("rate_limit", "is bad"), "rate_limit: is bad"},
		{
			"issue ci --rate x --allow-ip y",
			keys.AllOf(keys.Invalid("rate_limit", "is bad"), keys.Invalid("allowed_ips", "are bad"), keys.Invalid("other", "is bad")),
			"--rate is bad; --allow-ip are bad; other: is bad",
		},
		{"issue ci --rate x", fmt.Errorf("line 3: %w", keys.Invalid("rate_limit", "is bad")), "line 3: --rate is bad"},
		{"", keys.Invalid("rate_limit", "is bad"), "rate_limit: is bad"},
		{"issue ci --rate x", errors.New("rate_limit: is bad"), "rate_limit: is bad"},
	} {
		e, _, _ := testEnv(t)
		a := &app{env: e, output: formatTable}
		if tc.args != "" {
			cmd, rest, err := newRoot(a).Find(strings.Fields(tc.args))
			if err != nil {
				t.Fatalf("%s: %v", tc.args, err)
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Fatalf("%s: %v", tc.args, err)
			}
			a.ran = cmd
		}
		if got := a.typed(tc.err); got != tc.want {
			t.Errorf("%q, %v: got %q, want %q", tc.args, tc.err, got, tc.want)
		}
	}
}
