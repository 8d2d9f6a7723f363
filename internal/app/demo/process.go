package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// run runs keyctl as a process of its own in the stage's directory and returns what
// it printed, without the last line end. Standard error is for its error only: what
// it printed to standard output may be a secret.
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

// environment leaves out what would point keyctl at the user's own keys.
func environment(all []string) []string {
	var out []string
	for _, v := range all {
		if !strings.HasPrefix(v, "KEYCTL_") {
			out = append(out, v)
		}
	}
	return out
}
