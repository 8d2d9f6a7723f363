package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// run runs keyctl in the stage's directory and returns its output without the last line end.
// An error has only its standard error, because its standard output may be a secret.
func (s *stage) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.keyctl.Path, args...)
	cmd.Dir, cmd.Env = s.dir, environment(os.Environ())
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("keyctl %s: %w: %s", args[0], err, strings.TrimSpace(words.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// listening finds the address in the log of keyctl serve and keyctl guard.
var listening = regexp.MustCompile(`msg=listening url=(\S+)`)

// start starts keyctl as a process that serves, and returns its address. The process ends with
// [interrupt].
func (s *stage) start(command string, args ...string) (process *exec.Cmd, address string, err error) {
	cmd := exec.Command(s.keyctl.Path, append([]string{command}, args...)...) //nolint:noctx // interrupt ends it
	cmd.Dir, cmd.Env = s.dir, environment(os.Environ())
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, "", fmt.Errorf("start keyctl %s: %w", command, err)
	}
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return cmd, found[1], nil
		}
		said = append(said, lines.Text())
	}
	return nil, "", errors.Join(fmt.Errorf("keyctl %s did not listen: %s", command, strings.Join(said, "; ")), cmd.Wait())
}

// interrupt ends a process of [stage.start]; nil does nothing.
func interrupt(process *exec.Cmd) error {
	if process == nil {
		return nil
	}
	err := process.Process.Signal(os.Interrupt)
	_ = process.Wait() // its key store is removed, in whatever state it ended
	return err
}

// environment leaves out the variables that name the user's own key store.
func environment(all []string) []string {
	var out []string
	for _, v := range all {
		if !strings.HasPrefix(v, "KEYCTL_") {
			out = append(out, v)
		}
	}
	return out
}
