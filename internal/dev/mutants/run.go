package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Run applies each mutant in turn in a copy of the tree at root, runs its tests, and
// writes a line for each to w. The error names how many survived or could not be tried.
func Run(ctx context.Context, root string, list []Mutant, w io.Writer) error {
	tree, err := copyTree(ctx, root)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tree) }()
	if err := compile(ctx, tree, list); err != nil {
		return err
	}
	bad := 0
	for i := range list {
		began := time.Now() //nolint:forbidigo // for people: how long it took
		killer, err := try(ctx, tree, &list[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict := "killed by " + killer
		if err != nil {
			verdict = strings.ToUpper(err.Error()[:1]) + err.Error()[1:]
			bad++
		}
		_, _ = fmt.Fprintf(w, "%2d/%d  %-60s %s (%.1f s)\n", i+1, len(list), list[i].Name, verdict, time.Since(began).Seconds())
	}
	_, _ = fmt.Fprintf(w, "%d mutants: %d killed, %d not\n", len(list), len(list)-bad, bad)
	if bad > 0 {
		return fmt.Errorf("%d of %d mutants were not killed", bad, len(list))
	}
	return nil
}

// copyTree copies what git knows of the tree, with the changes that are not committed.
func copyTree(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("list the files of the tree: %w", err)
	}
	tree, err := os.MkdirTemp("", "mcpkeys-mutants-*")
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(tree, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(tree))
		}
	}
	return tree, nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed, and the removal is not committed
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm()) //nolint:gosec // git lists the names
}

// compile builds the tests of the unbroken copy, so that a later compile error comes from the
// mutant.
func compile(ctx context.Context, tree string, list []Mutant) error {
	args := []string{"vet"}
	for _, m := range list {
		for _, arg := range m.Tests {
			if strings.HasPrefix(arg, "./") {
				args = append(args, arg)
			}
		}
	}
	if out, err := goCommand(ctx, tree, args...); err != nil {
		return fmt.Errorf("the unbroken tree does not build: %w\n%s", err, out)
	}
	return nil
}

// try returns the first test that failed. The error says why the mutant is not killed.
func try(ctx context.Context, tree string, m *Mutant) (killer string, err error) {
	path := filepath.Join(tree, filepath.FromSlash(m.File))
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot be tried: %w", err)
	}
	broken, err := m.apply(string(source))
	if err != nil {
		return "", fmt.Errorf("cannot be tried: %w", err)
	}
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil { //nolint:gosec // the file is one of the list
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, source, 0o600)) }() //nolint:gosec // the same file
	out, failed := goCommand(ctx, tree, append([]string{"test", "-count=1", "-failfast", "-timeout=5m"}, m.Tests...)...)
	return judge(out, failed)
}

var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// judge counts only a failed test as a kill: a mutant that does not compile, or that only makes
// the tests run out of time, shows nothing about them.
func judge(out []byte, failed error) (killer string, err error) {
	switch m := failedTest.FindSubmatch(out); {
	case failed == nil:
		return "", errors.New("SURVIVED: no test noticed")
	case bytes.Contains(out, []byte("panic: test timed out")):
		return "", errors.New("not killed: the tests only ran out of time")
	case bytes.Contains(out, []byte("[build failed]")):
		return "", fmt.Errorf("cannot be tried: it does not compile\n%s", out)
	case m == nil:
		return "", fmt.Errorf("cannot be tried: go test failed without a failed test\n%s", out)
	default:
		return string(m[1]), nil
	}
}

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}
