package main

import (
	"bytes"
	"slices"
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

func TestFamiliarWordsLeadToCommands(t *testing.T) {
	paths := pathsBelow(newRoot(&app{env: &env{called: nameFirst}}))
	has := func(name string) bool {
		return slices.ContainsFunc(paths, func(path []string) bool { return len(path) == 1 && path[0] == name })
	}
	for word, command := range familiar {
		if has(word) {
			t.Errorf("%q is a command of ours, so it needs no hint", word)
		}
		if !has(command) {
			t.Errorf("%q leads to %q, which is not a command", word, command)
		}
	}
}
