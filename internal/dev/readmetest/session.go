package readmetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Result is what one command did.
type Result struct {
	Output string // stdout and stderr, as they came
	Status int
}

// mark opens the line that the session prints behind each command.
const mark = "\x1e"

const prologue = `set -m
trap 'for job in $(jobs -p); do kill -KILL -- "-$job"; done 2>/dev/null; wait 2>/dev/null' EXIT
exec 2>&1 </dev/null
`

// Run types commands into one bash in dir, so that a variable or a directory
// outlives its command. What a page leaves running ends with the session.
func Run(ctx context.Context, dir string, env []string, commands []Command) ([]Result, error) {
	var script strings.Builder
	script.WriteString(prologue)
	for _, c := range commands {
		fmt.Fprintf(&script, "%s\n__status=$?; printf '\\n\\036%%d\\n' $__status; (exit $__status)\n", c.Text)
	}
	scratch, err := os.MkdirTemp("", "session")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	path := filepath.Join(scratch, "script")
	if err := os.WriteFile(path, []byte(script.String()), 0o600); err != nil {
		return nil, err
	}
	// A file and no pipe: a program left in the background would hold a pipe open.
	log, err := os.Create(filepath.Join(scratch, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, "bash", path)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, log, log
	if err := cmd.Run(); ctx.Err() != nil {
		return nil, fmt.Errorf("run the page: %w", ctx.Err())
	} else if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("run the page: %w", err)
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		return nil, err
	}
	return split(text, len(commands))
}

// split cuts a session's log at the marks.
func split(log []byte, n int) ([]Result, error) {
	var out []Result
	for range n {
		before, rest, found := bytes.Cut(log, []byte("\n"+mark))
		status, after, ended := bytes.Cut(rest, []byte("\n"))
		if !found || !ended {
			return out, fmt.Errorf("the session ended early, with: %s", before)
		}
		code, err := strconv.Atoi(string(status))
		if err != nil {
			return out, fmt.Errorf("read a status: %w", err)
		}
		out = append(out, Result{Output: string(before), Status: code})
		log = after
	}
	return out, nil
}
