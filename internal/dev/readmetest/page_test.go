package readmetest_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/readmetest"
)

func TestPageHolds(t *testing.T) {
	page, err := os.ReadFile("testdata/page.md")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for _, fault := range play(t, string(page)) {
		t.Error(fault)
	}
	if took := time.Since(started); took > 5*time.Minute {
		t.Errorf("the page took %v: what it left in the background was waited for", took)
	}
}

// Each of these pages is wrong in one way, and must be refused.
func TestPageThatLies(t *testing.T) {
	for _, tc := range []struct{ name, block string }{
		{"another output", "```console\n$ echo one\ntwo\n```"},
		{"output that is not shown", "```console\n$ echo one\n```"},
		{"shown output that does not come", "```console\n$ true\none\n```"},
		{"less than it prints", "```console\n$ printf 'one\\ntwo\\n'\none\n```"},
		{"more than it prints", "```console\n$ echo one\none\ntwo\n```"},
		{"a wildcard around the wrong text", "```console\n$ echo one\n… two\n```"},
		{"a failing command", "```console\n$ false\n```"},
		{"a failing command without a prompt", "```sh\nfalse\n```"},
		{"another status", "```console\n$ (exit 3)\n$ echo $?\n0\n```"},
		{"no such program", "```sh\nno-such-program\n```"},
		{"an admin key for an ordinary one", "```console\n$ echo mcpa_aaaaaaaaaaaa_…\nmcpk_aaaaaaaaaaaa_…\n```"},
		{"a session that ends", "```console\n$ exit 0\n$ echo one\none\n```"},
		{"half a command", "```console\n$ echo 'one\none\n```"},
		{"output before a command", "```console\none\n$ echo one\n```"},
		{"a prompt in an sh block", "```sh\n$ echo one\n```"},
	} {
		if got := play(t, tc.block); len(got) == 0 {
			t.Errorf("a page with %s: got no fault", tc.name)
		}
	}
}

func TestCommandsThatRunElsewhere(t *testing.T) {
	for _, tc := range []struct {
		block, target string
		here          bool
	}{
		{"```console\n$ make demo\n```", "demo", false},
		{"```console\n$ make demo\nissued\n```", "demo", true},
		{"```sh\nmake test\n```", "test", false},
		{"```sh\ngit clone https://example.invalid/mcpkeys\n```", "", false},
		{"```sh\ncd mcpkeys\n```", "", false},
		{"```sh\nmakeshift\n```", "", true},
	} {
		c := commands(t, tc.block)[0]
		if c.Here() != tc.here || c.Make() != tc.target {
			t.Errorf("%q: got here %v, make %q; want %v, %q", tc.block, c.Here(), c.Make(), tc.here, tc.target)
		}
	}
}

func TestQuotes(t *testing.T) {
	snippets := []string{"func ExampleNew() { v, err := New(st, nil) if err != nil { panic(err) } }"}
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"v, err := New(st, nil)\nif err != nil {\n\tpanic(err)\n}", true},
		{"v,  err := New(st, nil)", true},
		{"v, err := New(st)", false},
	} {
		b := readmetest.Block{Lang: "go", Lines: strings.Split(tc.text, "\n")}
		if got := readmetest.Quotes(b, snippets); got != tc.want {
			t.Errorf("Quotes(%q): got %v, want %v", tc.text, got, tc.want)
		}
	}
}

func commands(t *testing.T, page string) []readmetest.Command {
	t.Helper()
	var out []readmetest.Command
	for _, b := range readmetest.Blocks(page) {
		found, err := b.Commands()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

// play runs a page in an empty folder and returns its faults.
func play(t *testing.T, page string) []string {
	t.Helper()
	var here []readmetest.Command
	for _, b := range readmetest.Blocks(page) {
		found, err := b.Commands()
		if err != nil {
			return []string{err.Error()}
		}
		for _, c := range found {
			if c.Here() {
				here = append(here, c)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	results, err := readmetest.Run(ctx, t.TempDir(), os.Environ(), here)
	faults := readmetest.Check(here, results)
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}
