package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// History scans the history of the git repository at dir: all branches, tags, stashes and the
// reflog; every version of every file, once, and the messages of commits and tags. It needs
// the git program, but lets it fetch nothing and run nothing that the repository configures.
func History(ctx context.Context, dir string, report func(Finding)) error {
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("git is not installed, so the history cannot be read; install git, or scan the files without --git")
	}
	g := repository(dir)
	names, err := g.run(ctx, nil, "rev-list", "--objects", "--all", "--reflog")
	if err != nil && strings.Contains(err.Error(), "not a git repository") {
		return errors.New("there is no git repository here; name one, or scan the files without --git")
	}
	if err != nil {
		return fmt.Errorf("the history cannot be read: %w", err)
	}
	found := map[string][]Finding{}
	var order []string
	err = g.objects(ctx, names, func(o object, r io.Reader) error {
		return Stream(r, func(line int, t keys.Token) {
			if found[o.hash] == nil {
				order = append(order, o.hash)
			}
			found[o.hash] = append(found[o.hash], Finding{File: o.name(), Line: line, Commit: o.commit(), Token: t})
		})
	})
	if err != nil {
		return fmt.Errorf("the history cannot be read: %w", err)
	}
	for _, hash := range order {
		commit := g.introduced(ctx, hash)
		for _, f := range found[hash] {
			if f.Commit == "" {
				f.Commit = commit
			}
			report(f)
		}
	}
	return nil
}

// repository is the folder whose history is read.
type repository string

func (g repository) command(ctx context.Context, args ...string) *exec.Cmd {
	safe := []string{"--no-replace-objects", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", string(g)}
	cmd := exec.CommandContext(ctx, "git", append(safe, args...)...) //nolint:gosec // arguments of our own and object names; no shell
	cmd.Env = append(withoutRepository(os.Environ()), "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return cmd
}

// withoutRepository removes the variables that git sets for hooks: with them git would read the
// repository of the hook instead of the named one.
func withoutRepository(env []string) []string {
	return slices.DeleteFunc(env, func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}, name)
	})
}

func (g repository) run(ctx context.Context, in io.Reader, args ...string) ([]byte, error) {
	cmd := g.command(ctx, args...)
	cmd.Stdin = in
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return nil, said(ctx, err, words.String())
	}
	return out.Bytes(), nil
}

// said returns the first line of git's error output, which says more than its exit code.
func said(ctx context.Context, err error, words string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if line, _, _ := strings.Cut(strings.TrimSpace(words), "\n"); line != "" {
		return errors.New(Masked(strings.TrimPrefix(line, "fatal: ")))
	}
	return err
}

// object is a git object: a version of a file, a commit or a tag.
type object struct{ hash, kind, path string }

func (o object) name() string {
	if o.kind == "blob" {
		return Masked(o.path)
	}
	return strings.TrimRight(o.kind+" message "+Masked(o.path), " ")
}

// commit returns the abbreviated hash of a commit; it is empty for other objects.
func (o object) commit() string {
	if o.kind == "commit" {
		return abbreviated(o.hash)
	}
	return ""
}

func abbreviated(hash string) string { return hash[:min(len(hash), 10)] }

// objects reads every object of a list of hashes and paths.
func (g repository) objects(ctx context.Context, list []byte, read func(object, io.Reader) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // otherwise git would wait for a reader
	var hashes bytes.Buffer
	paths := map[string]string{}
	for line := range bytes.Lines(list) {
		hash, path, _ := strings.Cut(strings.TrimRight(string(line), "\n"), " ")
		hashes.WriteString(hash + "\n")
		paths[hash] = path
	}
	cmd := g.command(ctx, "cat-file", "--batch", "--buffer")
	var words bytes.Buffer
	cmd.Stdin, cmd.Stderr = &hashes, &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := eachObject(bufio.NewReaderSize(out, window), paths, read); err != nil {
		cancel()
		_ = cmd.Wait() // it was cancelled
		return err
	}
	if err := cmd.Wait(); err != nil {
		return said(ctx, err, words.String())
	}
	return nil
}

// eachObject reads the output of cat-file --batch: hash, kind and size on a line, then the
// content and a line end.
func eachObject(r *bufio.Reader, paths map[string]string, read func(object, io.Reader) error) error {
	for {
		header, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) && header == "" {
			return nil
		}
		if err != nil {
			return err
		}
		words := strings.Fields(header)
		if len(words) == 2 && words[1] == "missing" {
			return errors.New("the repository is incomplete; first run git fetch with --unshallow or --refetch")
		}
		if len(words) != 3 {
			return errors.New("git printed something that this program does not understand")
		}
		size, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return errors.New("git printed something that this program does not understand")
		}
		content := io.LimitReader(r, size)
		if words[1] != "tree" {
			if err := read(object{words[0], words[1], paths[words[0]]}, content); err != nil {
				return err
			}
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
		if _, err := r.Discard(1); err != nil {
			return err
		}
	}
}

// introduced returns the first commit that has the object, or empty if there is none.
func (g repository) introduced(ctx context.Context, hash string) string {
	out, err := g.run(ctx, nil, "log", "--all", "--reflog", "--topo-order", "--reverse", "-m", "--format=%H", "--no-ext-diff", "--no-textconv", "--find-object="+hash)
	first, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		return ""
	}
	return abbreviated(first)
}
