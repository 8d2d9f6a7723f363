package readmetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
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

// Go code in pages compiles, because it is quoted from an Example.
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

// The CI run calls the make targets that README names.
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

// inTree are the pages whose commands run in a copy of the tree.
var inTree = []string{"README.md", "docs/quickstart.md", "docs/mcp.md", "docs/clients.md", "docs/other-hosts.md", "docs/other-languages.md"}

// The commands of a page work from top to bottom and print what it shows.
func TestPagesRun(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	install(t, bin)
	for _, name := range inTree {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := slices.DeleteFunc(commands(t, read(t, name)), func(c readmetest.Command) bool {
				return !c.Here() || (c.Make() != "" && c.Make() != "demo")
			})
			if len(here) == 0 {
				t.Fatal("no command to run: are the blocks console and sh?")
			}
			clone := filepath.Join(t.TempDir(), "mcpkeys")
			copyTree(t, clone)
			serveElsewhere(t, clone, here)
			playPage(t, clone, bin, here)
		})
	}
}

// playPage runs the commands of a page in dir and fails where what they print is not what the
// page shows.
func playPage(t *testing.T, dir, bin string, commands []readmetest.Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	results, err := readmetest.Run(ctx, dir, environment(bin), commands)
	for _, fault := range readmetest.Check(commands, results) {
		t.Error(fault)
	}
	if err != nil {
		t.Error(err)
	}
}

// serveElsewhere makes the servers of pages listen at free ports, in the commands and in the
// copy of the program: a port of a page may be in use on this machine.
func serveElsewhere(t *testing.T, clone string, commands []readmetest.Command) {
	t.Helper()
	program := filepath.Join(clone, "examples/quickstart/main.go")
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"127.0.0.1:8420", "127.0.0.1:8421"} {
		free := freeAddr(t)
		text = bytes.ReplaceAll(text, []byte(addr), []byte(free))
		for i := range commands {
			commands[i].Text = strings.ReplaceAll(commands[i].Text, addr, free)
		}
	}
	if err := os.WriteFile(program, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// A config on a page is valid JSON, and names a variable or a file, not a secret.
func TestConfigsOfClientsParse(t *testing.T) {
	for _, b := range readmetest.Blocks(read(t, "docs/clients.md")) {
		text := strings.Join(b.Lines, "\n")
		if b.Lang == "json" && !json.Valid([]byte(text)) {
			t.Errorf("docs/clients.md:%d: not JSON:\n%s", b.Line, text)
		}
		if b.Lang != "console" && strings.Contains(text, "mcpk_") {
			t.Errorf("docs/clients.md:%d: the secret stands in the config:\n%s", b.Line, text)
		}
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

// pages are the pages with Go code for readers.
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
// point keyctl at real keys.
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
