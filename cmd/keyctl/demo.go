package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/demo"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
)

func newDemo(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Try it all out, in a directory of its own",
		GroupID: groupOther,
		Long: `Start a guarded MCP server with a key store and a key of its own, and print
what to try on it, ready to paste. It uses a temporary directory and a free
port, reads no KEYCTL_ variable, and takes everything away again when it ends.

With --once it plays the story itself, with a real MCP client: a tool that was
granted, one that was not, and the key's end. It exits 0 only if every step
held.`,
		Example: "  keyctl demo --once\n  keyctl demo",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" || a.pepper != "" {
				return usagef("demo has a key store of its own: leave --db and --pepper out")
			}
			keyctl, err := self()
			if err != nil {
				return err
			}
			defer surviveBrokenPipe()()
			if once {
				return demo.Once(cmd.Context(), keyctl, a.stdout, nil)
			}
			return demo.Serve(cmd.Context(), keyctl, a.stdout, nil)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "play the story and end")
	return cmd
}

// surviveBrokenPipe makes writing to a reader who is gone an error like any other.
// Unasked it would end the program there and then, with a key store and a live key
// left behind. The function that it returns takes it back.
func surviveBrokenPipe() func() {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// self is this very program, and how its user would call it again.
func self() (demo.Keyctl, error) {
	path, err := os.Executable()
	if err != nil {
		return demo.Keyctl{}, fmt.Errorf("find this program's own file: %w", err)
	}
	return demo.Keyctl{Path: path, Shown: calledAs(path)}, nil
}

// calledAs is what to type for the program at path: its bare name where the shell
// finds it by that (another keyctl may come first: Linux keyutils has one), go run
// where that built it, else its path.
func calledAs(path string) string {
	name := filepath.Base(path)
	if found, err := exec.LookPath(name); err == nil && shell.Same(found, path) {
		return name
	}
	if strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/keyctl"
	}
	return shell.Quote(path)
}
