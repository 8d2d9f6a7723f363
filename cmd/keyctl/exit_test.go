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
