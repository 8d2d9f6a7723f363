package readmetest_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/readmetest"
)

const (
	root     = "../../.."
	maxLines = 120
)

func TestReadmeIsShort(t *testing.T) {
	page, ok := readme(t)
	if !ok {
		return
	}
	if got := strings.Count(page, "\n"); got > maxLines {
		t.Errorf("README.md has %d lines, want at most %d", got, maxLines)
	}
}

// Go that a reader copies from a page compiles, because it is quoted from an
// Example.
func TestGoInPagesIsQuoted(t *testing.T) {
	snippets, err := readmetest.Snippets(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages(t) {
		for _, b := range readmetest.Blocks(read(t, name)) {
			if b.Lang == "go" && !readmetest.Quotes(b, snippets) {
				t.Errorf("%s:%d: this Go stands in no Example of a _test.go file and no program under examples/, so nothing says that it compiles:\n%s",
					name, b.Line, strings.Join(b.Lines, "\n"))
			}
		}
	}
}

// What README names, the CI run calls.
func TestMakeTargetsOfReadmeAreRun(t *testing.T) {
	page, ok := readme(t)
	if !ok {
		return
	}
	run := strings.Split(read(t, ".ci/run"), "\n")
	for _, c := range commands(t, page) {
		target := c.Make()
		if target == "" {
			continue
		}
		if !slices.Contains(run, "step make "+target) {
			t.Errorf("README.md:%d: .ci/run has no line \"step make %s\"", c.Line, target)
		}
		if c.Here() && target != "demo" {
			t.Errorf("README.md:%d: make %s cannot show its output: it would run this test within itself", c.Line, target)
		}
	}
}

// A reader types README from top to bottom and sees what it shows.
func TestReadmeRuns(t *testing.T) {
	page, ok := readme(t)
	if !ok {
		return
	}
	here := slices.DeleteFunc(commands(t, page), func(c readmetest.Command) bool {
		return !c.Here() || (c.Make() != "" && c.Make() != "demo")
	})
	if len(here) == 0 {
		t.Fatal("README.md shows no command to run: are its blocks console and sh?")
	}
	scratch := t.TempDir()
	clone, bin := filepath.Join(scratch, "mcpkeys"), filepath.Join(scratch, "bin")
	copyTree(t, clone)
	install(t, bin)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	results, err := readmetest.Run(ctx, clone, environment(bin), here)
	for _, fault := range readmetest.Check(here, results) {
		t.Error("README.md: " + fault)
	}
	if err != nil {
		t.Error(err)
	}
}

// readme returns README.md. It is checked from the commit on that has both the page
// and the program that it is about.
func readme(t *testing.T) (page string, ok bool) {
	t.Helper()
	for _, name := range []string{"README.md", "cmd/keyctl"} {
		if _, err := os.Stat(filepath.Join(root, name)); errors.Is(err, fs.ErrNotExist) {
			return "", false
		}
	}
	return read(t, "README.md"), true
}

// pages are the papers that a reader copies Go from.
func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			out = append(out, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
		}
	}
	return out
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// install builds keyctl with the flags that this test was built with.
func install(t *testing.T, bin string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/keyctl")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build keyctl: %v\n%s", err, out)
	}
}

// environment is this test's own, with bin before everything and without what would
// point keyctl at somebody's real keys.
func environment(bin string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "KEYCTL_") || strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS")
	})
	return append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1", "TERM=dumb")
}

// copyTree writes what a clone would hold to dir.
func copyTree(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (rel == ".git" || rel == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, rel), 0o755)
		case rel == ".git" || !d.Type().IsRegular():
			return nil
		}
		return copyFile(path, filepath.Join(dir, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copyFile keeps the mode: the scripts under .ci are run.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}
