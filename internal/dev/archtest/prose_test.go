package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Words and constructions that made sentences be read twice, each with a plain one.
var oddWords = []struct {
	odd   *regexp.Regexp
	plain string
}{
	{regexp.MustCompile(`(?i)\bwho(ever|mever|soever|m)\b`), `"a program that", "people who"`},
	{regexp.MustCompile(`(?i)\b(no|some|any)body\b`), `name who: "no key", "another process", "a client"`},
	{regexp.MustCompile(`(?i)\banew\b`), `"again"`},
	{regexp.MustCompile(`(?i)\bgoes on\b`), `"continues", "still runs"`},
	{regexp.MustCompile(`(?i)\b(dead|alive)\b`), `"revoked", "expired", "ended", "running"`},
	{regexp.MustCompile(`(?i)\bshall\b`), `the present tense, or "must"`},
	{regexp.MustCompile(`(?i)\bfor good\b`), `"permanently"`},
	{regexp.MustCompile(`(?i)\bno more\b`), `"no longer"`},
	{regexp.MustCompile(`(?i)\bof ours\b`), `"our"`},
	{regexp.MustCompile(`(?i)\bthose that\b`), `the noun`},
	{regexp.MustCompile(`(?i)(^|[^e] |[^r]e )\b(is|are|was|were) no [a-z]+`), `"is not a"`},
}

// Comments, texts of programs and pages are in plain words.
func TestProseIsPlain(t *testing.T) {
	for _, p := range load(t) {
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles, p.testFiles()) {
			for _, fault := range oddInGo(t, filepath.Join(p.Dir, file)) {
				t.Errorf("%s/%s:%s", p.path(), file, fault)
			}
		}
	}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no pages, %v", pattern, err)
		}
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range oddInPage(string(text)) {
				t.Errorf("%s:%s", filepath.ToSlash(name), fault)
			}
		}
	}
}

func TestOddWordsAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"Whoever holds it":                    1,
		"somebody revoked it for good":        2,
		"this is no key":                      1,
		"there is no key; it is no longer so": 0,
		"There are no keys":                   0,
		"`nobody` is a user, **anew** is odd": 1,
		"```\nnobody\n```\nplain":             0,
	} {
		if got := oddInPage(text); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
	source := "package p\n\n// Whoever reads it.\nvar a = \"nobody\" + `anew`\n"
	name := filepath.Join(t.TempDir(), "p.go")
	if err := os.WriteFile(name, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := oddInGo(t, name); len(got) != 3 {
		t.Errorf("found %q, want 3", got)
	}
	test := strings.TrimSuffix(name, ".go") + "_test.go"
	if err := os.Rename(name, test); err != nil {
		t.Fatal(err)
	}
	if got := oddInGo(t, test); len(got) != 1 {
		t.Errorf("in a test: found %q, want that of the comment", got)
	}
}

// oddInGo checks the comments of a file and, if it is not a test, its texts.
func oddInGo(t *testing.T, name string) (faults []string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	look := func(at token.Pos, text string) {
		for _, fault := range oddIn(text) {
			faults = append(faults, strconv.Itoa(set.Position(at).Line)+fault)
		}
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			look(c.Pos(), code.ReplaceAllString(c.Text, "x"))
		}
	}
	if strings.HasSuffix(name, "_test.go") {
		return faults
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && !strings.HasPrefix(text.Value, "`(?") {
			look(text.Pos(), text.Value)
		}
		return true
	})
	return faults
}

var code = regexp.MustCompile("`[^`\n]*`")

// oddInPage checks the text of a page outside of code.
func oddInPage(text string) (faults []string) {
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		for _, fault := range oddIn(code.ReplaceAllString(line, "x")) {
			faults = append(faults, strconv.Itoa(i+1)+fault)
		}
	}
	return faults
}

func oddIn(text string) (faults []string) {
	for _, w := range oddWords {
		for _, at := range w.odd.FindAllStringIndex(text, -1) {
			found := strings.TrimSpace(text[at[0]:at[1]])
			if strings.HasSuffix(found, "no longer") {
				continue
			}
			faults = append(faults, ": "+strconv.Quote(found)+": write "+w.plain)
		}
	}
	return faults
}
