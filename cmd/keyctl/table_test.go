package main

import (
	"strings"
	"testing"
	"time"

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

// An argument that may be a piece of a secret is named by its place.
func TestMention(t *testing.T) {
	for typed, want := range map[string]string{
		"ci": `"ci"`, "data-team/nightly-report": `"data-team/nightly-report"`,
		"mcpk_": "argument 3", "MCPK_abc": "argument 3", "x\x1b[0m": "argument 3", "": "argument 3",
		strings.Repeat("a", 30):                     "argument 3",
		"AbCdEfGhIjKl_0123456789012345678901234567": "argument 3",
		// Twenty characters from the middle of a secret, with or without its underscore.
		"0123456789abcdefghij": "argument 3", "fGhIjKl_0123456789ab": "argument 3", "x-0123456789abcdefghij": "argument 3",
		"data_team_ci": `"data_team_ci"`,
	} {
		if got := mention(typed, 3); got != want {
			t.Errorf("mention(%q): got %s, want %s", typed, got, want)
		}
	}
}

// No line is wider than the screen, and every id is whole, for all kinds of names.
func TestTableFitsEveryScreen(t *testing.T) {
	now := time.Date(2027, 3, 10, 12, 0, 0, 0, time.UTC)
	found := keys.Page{LastUsed: map[string]keys.LastUse{"AbCdEfGhIjKl": {At: now.Add(-135 * 24 * time.Hour)}}}
	for _, name := range []string{"ci", strings.Repeat("long-", 25), strings.Repeat("鍵", 60), "e\u0301e\u0301e\u0301"} {
		found.Keys = append(found.Keys, &keys.Key{
			ID: "AbCdEfGhIjKl", Name: name, Owner: name, Audience: []string{name}, Scopes: []string{"tools:get_*", name},
			ExpiresAt: now.Add(135 * 24 * time.Hour),
		})
	}
	for screen := 40; screen <= 200; screen++ {
		table := keysTable(found, now)
		widths := table.widths(screen)
		if got := table.filled(widths); got > screen {
			t.Errorf("screen %d: the columns %v fill %d", screen, widths, got)
		}
		for line := range strings.Lines(table.text(screen)) {
			if got := cells(strings.TrimSuffix(line, "\n")); got > screen {
				t.Errorf("screen %d: a line fills %d: %q", screen, got, line)
			}
		}
		if widths[colID] != keys.IDLen {
			t.Errorf("screen %d: got %d columns for the id, want %d", screen, widths[colID], keys.IDLen)
		}
	}
}

// A table has no control characters.
func TestTableIsClean(t *testing.T) {
	table := &table{columns: []column{{heading: "NAME"}, {heading: "CALLS", right: true}}}
	table.add("a\x1b[2Jb\u202e", "7")
	if got := table.text(80); strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("text: got %q, want no control characters", got)
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

// A spreadsheet must not run a name or a reason as a formula.
func TestCSVRunsNoFormula(t *testing.T) {
	got := csvText([]string{"=1+1", "+1", "-1", "@sum", "ci", "1-2", "'=x"})
	if want := "'=1+1,'+1,'-1,'@sum,ci,1-2,'=x\n"; got != want {
		t.Errorf("csvText: got %q, want %q", got, want)
	}
}
