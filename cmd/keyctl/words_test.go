package main

import (
	"strings"
	"testing"
)

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
