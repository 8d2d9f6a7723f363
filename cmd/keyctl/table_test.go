package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestTableFitsEveryScreen: no line is wider than the screen, and every id is whole,
// whatever the names are made of.
func TestTableFitsEveryScreen(t *testing.T) {
	names := []string{"ci", strings.Repeat("long-", 25), strings.Repeat("鍵", 60), "e\u0301e\u0301e\u0301"}
	for screen := 40; screen <= 200; screen++ {
		rows := [][columns]string{{"NAME", "ID", "OWNER", "EXPIRES", "STATUS", "SCOPES"}}
		for _, name := range names {
			rows = append(rows, [columns]string{name, "AbCdEfGhIjKl", name, "in 135d", "◐ expiring", "tools:get_* " + name})
		}
		widths := columnWidths(rows, screen-1)
		if got := filled(widths); got > screen-1 {
			t.Errorf("screen %d: the columns %v fill %d", screen, widths, got)
		}
		if widths[colID] != keys.IDLen {
			t.Errorf("screen %d: got %d columns for the id, want %d", screen, widths[colID], keys.IDLen)
		}
	}
}

func TestFit(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{
		{"ci", 4, "ci  "},
		{"nightly", 7, "nightly"},
		{"nightly", 5, "nigh…"},
		{"鍵鍵鍵", 6, "鍵鍵鍵"},
		{"鍵鍵鍵", 5, "鍵鍵…"},
		{"鍵鍵鍵", 4, "鍵… "},
	} {
		if got := fit(tc.text, tc.width); got != tc.want {
			t.Errorf("fit(%q, %d): got %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}

func TestScopesWithin(t *testing.T) {
	list := []string{"tools:a", "tools:b", "tools:c"}
	for _, tc := range []struct {
		width int
		want  string
	}{
		{30, "tools:a tools:b tools:c"},
		{22, "tools:a tools:b … +1"},
		{12, "tools:a … +2"},
		{9, "tools… +2"},
	} {
		if got := scopesWithin(list, tc.width); got != tc.want {
			t.Errorf("scopesWithin(%d): got %q, want %q", tc.width, got, tc.want)
		}
	}
	for width := 8; width < 60; width++ {
		if got := scopesWithin([]string{"tools:" + strings.Repeat("x", 80), "b"}, width); cells(got) > width {
			t.Errorf("scopesWithin(%d): %q is wider", width, got)
		}
	}
}

// A terminal acts on what it is sent: titles, colours, the clipboard. Text comes
// from rows that somebody may have edited.
func TestClean(t *testing.T) {
	for _, text := range []string{"\x1b[2J", "a\x07b", "a\u202eb", "a\u200bb", "\x9b31m", "a\rb", "\xff"} {
		got := clean(text)
		for _, r := range got {
			if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u202e' || r == '\u200b' {
				t.Errorf("clean(%q): got %q", text, got)
			}
		}
	}
	if got := clean("two\nlines\tand a tab"); got != "two lines and a tab" {
		t.Errorf("clean: got %q", got)
	}
}

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

func TestRelative(t *testing.T) {
	now := mustTime(t, "2026-11-22T12:00:00Z")
	for at, want := range map[string]string{
		"2027-02-20T12:00:00Z": "in 90d",
		"2027-02-20T11:59:59Z": "in 90d",
		"2026-11-24T11:00:00Z": "in 2d",
		"2026-11-23T12:00:00Z": "in 24h",
		"2026-11-22T12:01:30Z": "in 2m",
		"2026-11-22T11:59:59Z": "1s ago",
		"2026-11-22T12:00:00Z": "now",
		"2024-11-22T12:00:00Z": "2y ago",
		"2026-11-19T12:00:00Z": "3d ago",
	} {
		if got := relative(mustTime(t, at), now); got != want {
			t.Errorf("relative(%s): got %q, want %q", at, got, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"ci": "ci", "get_*": "'get_*'", "": "''", "it's": `'it'\''s'`, "a b": "'a b'", "$x": "'$x'", "a/b.db": "a/b.db",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("shellQuote(%q): got %s, want %s", word, got, want)
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
	} {
		if got := mention(typed, 3); got != want {
			t.Errorf("mention(%q): got %s, want %s", typed, got, want)
		}
	}
}

func TestNoFormula(t *testing.T) {
	for _, cell := range []string{"=1+1", "+1", "-1", "@sum", "\tx", "\rx"} {
		if got, want := noFormula(cell), "'"+cell; got != want {
			t.Errorf("noFormula(%q): got %q, want %q", cell, got, want)
		}
	}
	for _, cell := range []string{"", "ci", "1-2", "a=b"} {
		if got := noFormula(cell); got != cell {
			t.Errorf("noFormula(%q): got %q, want it unchanged", cell, got)
		}
	}
}

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
		{&keys.AmbiguousError{}, outcome{7, "conflict"}},
	} {
		if got := outcomeOf(tc.err); got != tc.want {
			t.Errorf("outcomeOf(%v): got %v, want %v", tc.err, got, tc.want)
		}
	}
}
