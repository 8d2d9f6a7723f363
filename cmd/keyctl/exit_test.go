package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Every error has an exit code and a word, and what nobody foresaw is the store's.
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
		{fmt.Errorf("x: %w", keys.NotAnnounced(keys.ErrUnavailable)), outcome{2, "not_announced"}},
		{&keys.WrittenError{What: "x", Cause: keys.ErrConflict}, outcome{2, "unfinished"}},
		{fmt.Errorf("x: %w", &keys.MayBeLostError{Cause: keys.ErrUnavailable}), outcome{8, "may_be_lost"}},
		{fmt.Errorf("x: %w", context.Canceled), outcome{130, "interrupted"}},
		{&keys.AmbiguousError{}, outcome{7, "conflict"}},
	} {
		if got := outcomeOf(tc.err); got != tc.want {
			t.Errorf("outcomeOf(%v): got %v, want %v", tc.err, got, tc.want)
		}
	}
}
