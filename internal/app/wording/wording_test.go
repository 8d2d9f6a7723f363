package wording_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A terminal acts on control sequences: titles, colours, the clipboard. Text comes from rows
// that may have been edited by hand.
func TestClean(t *testing.T) {
	for _, text := range []string{"\x1b[2J", "a\x07b", "a\u202eb", "a\u200bb", "\x9b31m", "a\rb", "\xff"} {
		got := wording.Clean(text)
		for _, r := range got {
			if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u202e' || r == '\u200b' {
				t.Errorf("Clean(%q): got %q", text, got)
			}
		}
	}
	if got := wording.Clean("two\nlines\tand a tab"); got != "two lines and a tab" {
		t.Errorf("Clean: got %q", got)
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
		if got := wording.Relative(mustTime(t, at), now); got != want {
			t.Errorf("Relative(%s): got %q, want %q", at, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	now := mustTime(t, "2026-11-22T12:00:00Z")
	zone := time.FixedZone("EST", -5*60*60)
	if got, want := wording.When(mustTime(t, "2027-02-20T12:34:56Z"), now, zone), "2027-02-20 07:34 EST (in 90d)"; got != want {
		t.Errorf("When: got %q, want %q", got, want)
	}
}

// No two statuses have the same glyph.
func TestStatusGlyphsDiffer(t *testing.T) {
	seen := map[string]keys.Status{}
	for _, s := range []keys.Status{keys.StatusActive, keys.StatusExpiring, keys.StatusExpired, keys.StatusDisabled, keys.StatusRevoked} {
		g := wording.Glyph(s)
		if other, taken := seen[g]; taken || g == "?" {
			t.Errorf("Glyph(%s): got %q, as %q has", s, g, other)
		}
		seen[g] = s
		if got, want := wording.Status(s), g+" "+string(s); got != want {
			t.Errorf("Status(%s): got %q, want %q", s, got, want)
		}
	}
}

func mustTime(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestSparkline(t *testing.T) {
	for _, tc := range []struct {
		numbers []int64
		width   int
		want    string
	}{
		{nil, 10, ""},
		{[]int64{1}, 0, ""},
		{[]int64{0, 0, 0}, 10, "···"},
		{[]int64{0, 1, 1000, 500}, 10, "·▁█▅"},
		{[]int64{7, 7}, 10, "██"},
		{[]int64{1, 2, 3, 4, 5}, 3, "▁▅█"}, // 1, 2+3, 4+5
		{[]int64{-5, 1 << 62, 1<<63 - 1}, 10, "·▅█"},
	} {
		if got := wording.Sparkline(tc.numbers, tc.width); got != tc.want {
			t.Errorf("Sparkline(%v, %d): got %q, want %q", tc.numbers, tc.width, got, tc.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 126976: "124.0 KiB", 1 << 20: "1.0 MiB", 3 << 29: "1.5 GiB", 5 << 50: "5120.0 TiB"} {
		if got := wording.Bytes(n); got != want {
			t.Errorf("Bytes(%d): got %q, want %q", n, got, want)
		}
	}
}

func TestCounted(t *testing.T) {
	for n, want := range map[int]string{0: "0 keys", 1: "1 key", 2: "2 keys"} {
		if got := wording.Counted(n, "key", "keys"); got != want {
			t.Errorf("Counted(%d): got %q, want %q", n, got, want)
		}
	}
}

// A spreadsheet must not run a name in CSV as a formula.
func TestFormula(t *testing.T) {
	for _, cell := range []string{"=1+1", "+1", "-1", "@sum", "\tx", "\rx"} {
		if !wording.Formula(cell) {
			t.Errorf("Formula(%q): got false, want true", cell)
		}
	}
	for _, cell := range []string{"", "ci", "1-2", "a=b", "'=1"} {
		if wording.Formula(cell) {
			t.Errorf("Formula(%q): got true, want false", cell)
		}
	}
}
