package mutants

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// Each listed line occurs in its file, once, and each package exists.
func TestListFitsTheTree(t *testing.T) {
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 40 {
		t.Errorf("got %d mutants, want 40 at least", len(list))
	}
	seen := map[string]bool{}
	for _, m := range list {
		if seen[m.Name] {
			t.Errorf("%s: listed twice", m.Name)
		}
		seen[m.Name] = true
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.File)))
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if _, err := m.apply(string(source)); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		for _, arg := range m.Tests {
			if dir, ok := strings.CutPrefix(arg, "./"); ok {
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); err != nil {
					t.Errorf("%s: no package %s", m.Name, arg)
				}
			}
		}
	}
}

// A test that was renamed would leave its mutant without one: each word of a -run names a
// test of the packages.
func TestPatternsNameTests(t *testing.T) {
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		at := slices.Index(m.Tests, "-run")
		if at < 0 {
			continue
		}
		names := testsOf(t, m.Tests[:at])
		for word := range strings.SplitSeq(m.Tests[at+1], "|") {
			top, _, _ := strings.Cut(word, "/")
			if !regexp.MustCompile(top).MatchString(names) {
				t.Errorf("%s: -run %s names no test", m.Name, word)
			}
		}
	}
}

// testsOf returns the names of the test functions of packages, a line each.
func testsOf(t *testing.T, packages []string) string {
	t.Helper()
	var names strings.Builder
	for _, dir := range packages {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range testFunc.FindAllStringSubmatch(string(text), -1) {
				names.WriteString(found[1] + "\n")
			}
		}
	}
	return names.String()
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`)

// Only a failed test kills a mutant.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		out    string
		failed error
		want   string // part of the error; empty for a kill
	}{
		"a test failed":   {"--- FAIL: TestX (0.00s)\nFAIL", errors.New("exit 1"), ""},
		"no test failed":  {"ok", nil, "SURVIVED"},
		"timed out":       {"--- FAIL: TestX\npanic: test timed out after 5m", errors.New("exit 1"), "out of time"},
		"does not build":  {"FAIL\tkeys [build failed]", errors.New("exit 1"), "does not compile"},
		"no such package": {"no required module", errors.New("exit 1"), "without a failed test"},
	} {
		killer, err := judge([]byte(c.out), c.failed)
		if c.want == "" && (err != nil || killer != "TestX") {
			t.Errorf("%s: got %q, %v, want killed by TestX", name, killer, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %q, %v, want %q", name, killer, err, c.want)
		}
	}
}

// Samples of turns in a row cover the list.
func TestSampleRotates(t *testing.T) {
	list := make([]Mutant, 12)
	for i := range list {
		list[i].Name = string(rune('a' + i))
	}
	seen := map[string]bool{}
	for turn := 100; turn < 103; turn++ {
		for _, m := range Sample(list, 5, turn) {
			seen[m.Name] = true
		}
	}
	if len(seen) != len(list) {
		t.Errorf("three samples of five: got %d of %d", len(seen), len(list))
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"name: x\nfile: a.go\nbefore: b\nafter: b\ntest: ./keys",
		"name: x\nfile: a.go\nafter: b\ntest: ./keys",
		"name: x\nfile: a.go\nbefore: b\nafter: c",
		"nonsense",
		"nam: x",
	} {
		if list, err := parse(text); err == nil {
			t.Errorf("parse(%q): got %v, want an error", text, list)
		}
	}
}
