package demo_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpkeys/mcpkeys/internal/app/demo"
	"github.com/mcpkeys/mcpkeys/keys"
)

func TestOnceTellsTheStory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := demo.Once(t.Context(), realKeyctl(), &out, nil); err != nil {
		t.Fatalf("Once: %v\n%s", err, out.String())
	}
	for _, want := range []string{
		"1. Make a key store", "> keyctl init",
		"> keyctl issue demo-agent --tool 'get_*'",
		"✓ 401 Unauthorized\n",
		"get_feels_like, get_forecast, get_stations, and no other",
		"feels like -13", "word for word like a tool that does not exist",
		"> keyctl rotate demo-agent --grace 2s", "none refused", "401 for the old secret; the client continued",
		"> keyctl serve", "the second accepts the key too",
		"> keyctl revoke demo-agent --yes", "401 Unauthorized from both", "after revoke returned",
		"key.issue, key.rotate and key.revoke in ", "rows, and the chain is intact",
		"All 12 steps worked",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Once printed no %q:\n%s", want, out.String())
		}
	}
	if keys.HoldsToken(out.String()) {
		t.Error("Once printed a key")
	}
}

// All steps hold too where keyctl guard runs before a server that knows nothing of keys.
func TestOnceBehindKeyctlGuard(t *testing.T) {
	var out bytes.Buffer
	if err := demo.Once(t.Context(), realKeyctl(), &out, &demo.Options{Guard: true}); err != nil {
		t.Fatalf("Once: %v\n%s", err, out.String())
	}
	fits(t, out.String())
	if !strings.Contains(out.String(), "keyctl guard runs before the server") || keys.HoldsToken(out.String()) {
		t.Errorf("Once printed %s", out.String())
	}
}

func TestOnceFitsATerminal(t *testing.T) {
	var out bytes.Buffer
	if err := demo.Once(t.Context(), realKeyctl(), &out, nil); err != nil {
		t.Fatal(err)
	}
	fits(t, out.String())
}

func fits(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("Once printed an escape sequence")
	}
}

// The demo ignores the KEYCTL_ variables of the user.
func TestOnceReadsNoSettings(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.db")
	for _, name := range []string{"KEYCTL_DB", "KEYCTL_PEPPER_FILE", "KEYCTL_SERVER"} {
		t.Setenv(name, own)
	}
	var out bytes.Buffer
	if err := demo.Once(t.Context(), realKeyctl(), &out, nil); err != nil {
		t.Fatalf("Once: %v\n%s", err, out.String())
	}
	if _, err := os.Stat(own); err == nil {
		t.Error("Once made a key store where KEYCTL_DB points")
	}
}

// hangUp accepts so many writes, and then fails.
type hangUp struct{ lines int }

func (h *hangUp) Write(text []byte) (int, error) {
	if h.lines--; h.lines < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(text), nil
}

func TestOnceEndsWithItsListener(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, lines := range []int{0, 5} {
		// Step 4 would fail, but it is not run any more.
		err := demo.Once(t.Context(), realKeyctl(), &hangUp{lines}, &demo.Options{Guarded: unguarded})
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Once after %d lines: got %v, want io.ErrClosedPipe", lines, err)
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOnceTakesEverythingAway(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if err := demo.Once(t.Context(), realKeyctl(), new(bytes.Buffer), nil); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestEachBreakFails breaks one thing at a time, in keyctl or in the server, and wants the step
// that checks it to fail.
func TestEachBreakFails(t *testing.T) {
	breaks := []struct {
		name    string
		opts    *demo.Options
		step    string
		printed string
	}{
		{"init-does-nothing", nil, "step 1", "did not make mcpkeys.db"},
		{"init-fails", nil, "step 1", "exit status 2"},
		{"init-readable-by-all", nil, "step 1", "0644"},
		{"issue-fails", nil, "step 2", "exit status 2"},
		{"issue-talks", nil, "step 2", "did not print a key alone"},
		{"", &demo.Options{Guarded: unguarded}, "step 4", "answered 200"},
		{"issue-everything", nil, "step 5", "set_reading"},
		{"", &demo.Options{Guarded: brokenTool}, "step 6", "get_feels_like"},
		{"", &demo.Options{Guarded: wrongAnswer}, "step 6", "-13"},
		{"", &demo.Options{Guarded: deniedAloud}, "step 7", "which shows that it exists"},
		{"", &demo.Options{Guarded: deniedRuns}, "step 7", "it ran"},
		{"rotate-fails", nil, "step 8", "exit status 2"},
		{"rotate-talks", nil, "step 8", "did not print a key alone"},
		{"rotate-at-once", nil, "step 8", "of the busy client failed"},
		{"rotate-slowly", nil, "step 9", "more than 2s"},
		{"revoke-fails", nil, "step 10", "exit status 2"},
		{"serve-fails", nil, "step 3", "keyctl serve did not listen"},
		{"revoke-does-nothing", nil, "step 11", "it still works"},
		{"revoke-breaks-the-store", nil, "step 11", "answered 503"},
		{"revoke-edits-the-audit-log", nil, "step 12", "was changed after it was written"},
		{"revoke-cuts-the-audit-log", nil, "step 12", "want [key.issue key.rotate key.revoke]"},
	}
	heading := regexp.MustCompile(`(?m)^(\d+)\. `)
	for _, b := range breaks {
		t.Run(b.step+" "+b.name, func(t *testing.T) {
			keyctl := realKeyctl()
			if b.name != "" {
				t.Setenv(envBreak, b.name)
				keyctl.Path = must(os.Executable())
			}
			var out bytes.Buffer
			err := demo.Once(t.Context(), keyctl, &out, b.opts)
			if err == nil || !strings.HasPrefix(err.Error(), b.step+" of 12 failed") || !strings.Contains(err.Error(), b.printed) {
				t.Fatalf("Once: got %v, want %s to fail with %q", err, b.step, b.printed)
			}
			headings := heading.FindAllStringSubmatch(out.String(), -1)
			if last := headings[len(headings)-1][1]; "step "+last != b.step {
				t.Errorf("the transcript ends with step %s, want %s", last, b.step)
			}
			if !strings.Contains(out.String(), "✗ ") || strings.Contains(out.String(), "steps worked") {
				t.Errorf("the transcript does not say that it failed:\n%s", out.String())
			}
			if keys.HoldsToken(out.String() + err.Error()) {
				t.Error("the failure shows a key")
			}
		})
	}
}
