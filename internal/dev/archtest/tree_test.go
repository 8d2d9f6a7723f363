package archtest_test

import (
	"go/ast"
	"go/parser"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// homePath finds paths of one user's machine.
var homePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.])(/home/[a-z]|/Users/[A-Za-z]|[A-Z]:\\Users\\)`)

// A path of the author's machine in a file means that something works only there.
func TestNoPathOfOneMachine(t *testing.T) {
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	own := []string{here}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 && home != os.TempDir() {
		own = append(own, home)
	}
	for name, text := range textFiles(t) {
		if homePath.MatchString(text) || slices.ContainsFunc(own, func(p string) bool { return hasPath(text, p) }) {
			t.Errorf("%s holds a path of one machine", name)
		}
	}
}

// hasPath reports whether path stands in text by itself, not as the middle of a
// longer one.
func hasPath(text, path string) bool {
	for rest := text; ; {
		i := strings.Index(rest, path)
		if i < 0 {
			return false
		}
		before, after := rest[:i], rest[i+len(path):]
		if !strings.ContainsAny(last(before), pathChars) && !strings.ContainsAny(first(after), pathChars) {
			return true
		}
		rest = after
	}
}

const pathChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

func first(s string) string { return s[:min(1, len(s))] }
func last(s string) string  { return s[len(s)-min(1, len(s)):] }

// textFiles reads every text file of the tree, by its path from the root. Hidden, built and
// ignored files are left out, except .ci.
func textFiles(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == root:
			return nil
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || d.Name() == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil && utf8.Valid(text) {
			out[strings.TrimPrefix(filepath.ToSlash(path), root+"/")] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A test that can skip itself may never run.
func TestNoTestSkips(t *testing.T) {
	for _, p := range load(t) {
		for _, name := range p.testFiles() {
			ast.Inspect(parse(t, p, name, parser.SkipObjectResolution), func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					t.Errorf("%s/%s calls %s: arrange what the test needs, or fail", p.path(), name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}
