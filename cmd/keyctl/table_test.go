package main

import (
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
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

// TestTableFitsEveryScreen: no line is wider than the screen, and every id is whole,
// whatever the names are made of.
func TestTableFitsEveryScreen(t *testing.T) {
	names := []string{"ci", strings.Repeat("long-", 25), strings.Repeat("鍵", 60), "e\u0301e\u0301e\u0301"}
	for screen := 40; screen <= 200; screen++ {
		rows := [][columns]string{{"NAME", "ID", "OWNER", "AUDIENCE", "EXPIRES", "LAST USED", "STATUS", "SCOPES"}}
		for _, name := range names {
			rows = append(rows, [columns]string{name, "AbCdEfGhIjKl", name, name, "in 135d", "135d ago", "◐ expiring", "tools:get_* " + name})
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
