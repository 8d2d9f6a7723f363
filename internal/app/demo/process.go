package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
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
