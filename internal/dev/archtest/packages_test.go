package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The least lines of a package's comment. The author of a guarded server reads the comments of
// keys and middleware first, and maybe nothing else.
const (
	teachingLines = 3
	chapterLines  = 15
)

func TestEveryPackageTeaches(t *testing.T) {
	for _, p := range load(t) {
		texts := packageComments(t, p)
		if len(texts) != 1 {
			t.Errorf("%s: %d files carry a package comment, want exactly one", p.path(), len(texts))
			continue
		}
		want := teachingLines
		if p.path() == "keys" || p.path() == "middleware" {
			want = chapterLines
		}
		text := strings.TrimSpace(texts[0])
		if got := len(strings.Split(text, "\n")); got < want {
			t.Errorf("%s: its comment has %d lines, want %d: what it is for, what it refuses, what to call first", p.path(), got, want)
		}
		if p.Name != "main" && !strings.HasPrefix(text, "Package "+p.Name+" ") {
			t.Errorf("%s: its comment begins %.20q, want Package %s", p.path(), text, p.Name)
		}
	}
}

// packageComments returns the comment of each file that has one. A package of tests
// alone carries it in a test.
func packageComments(t *testing.T, p *pkg) []string {
	t.Helper()
	files := slices.Concat(p.GoFiles, p.CgoFiles)
	if len(files) == 0 {
		files = p.testFiles()
	}
	var texts []string
	for _, name := range files {
		if f := parse(t, p, name, parser.ParseComments|parser.PackageClauseOnly); f.Doc != nil {
			texts = append(texts, f.Doc.Text())
		}
	}
	return texts
}

func parse(t *testing.T, p *pkg, name string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Names without meaning, and names that clash with the package that they wrap.
var (
	emptyNames   = []string{"util", "utils", "helper", "helpers", "common", "misc", "types", "models"}
	clashingName = []string{"http", "gin", "mcp"}
)

func TestNamesSaySomething(t *testing.T) {
	for _, p := range load(t) {
		if slices.Contains(slices.Concat(emptyNames, clashingName), p.Name) {
			t.Errorf("%s: a package must not be named %s", p.path(), p.Name)
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.testFiles()) {
			stem := strings.TrimSuffix(strings.TrimSuffix(name, ".go"), "_test")
			if slices.Contains(emptyNames, stem) {
				t.Errorf("%s/%s: name the file after what it holds, like a chapter", p.path(), name)
			}
		}
	}
}
