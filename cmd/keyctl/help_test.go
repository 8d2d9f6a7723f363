package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// pathsBelow are the words that lead from cmd to each command and help topic.
func pathsBelow(cmd *cobra.Command) [][]string {
	paths := [][]string{nil}
	for _, c := range cmd.Commands() {
		for _, rest := range pathsBelow(c) {
			paths = append(paths, append([]string{c.Name()}, rest...))
		}
	}
	return paths
}

// No line of any help page is wider than 80 columns, under both names of the program.
func TestHelpFitsEightyColumns(t *testing.T) {
	for _, name := range []string{nameFirst, nameSecond} {
		paths := pathsBelow(newRoot(&app{env: &env{called: name}}))
		if len(paths) < 30 {
			t.Fatalf("%s: got %d pages, want all", name, len(paths))
		}
		for _, path := range paths {
			var stdout, stderr bytes.Buffer
			e := &env{
				called: name, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
				getenv: func(string) string { return "" }, now: time.Now,
			}
			if got := run(t.Context(), append([]string{"help"}, path...), e); got != exitOK {
				t.Errorf("%s help %s: got exit code %d, want 0: %s", name, strings.Join(path, " "), got, &stderr)
			}
			for line := range strings.Lines(stdout.String()) {
				if n := cells(strings.TrimSuffix(line, "\n")); n > defaultWidth {
					t.Errorf("%s help %s: %d columns: %s", name, strings.Join(path, " "), n, line)
				}
			}
		}
	}
}
