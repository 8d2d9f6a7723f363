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
	var once, guard bool
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Try a guarded MCP server in a temporary directory",
		GroupID: groupOther,
		Long: `Start a guarded MCP server with its own key store and key, and print commands to
try, ready to paste. It uses a temporary directory and a free port, reads no
KEYCTL_ variable, and removes everything when it ends.

With --once it runs the steps itself, with a real MCP client: it calls a tool
that the key was granted, calls one that it was not, rotates the key and revokes
it. It exits 0 only if every step worked.

With --guard the server has no guard of its own: keyctl guard runs before it.`,
		Example: "  keyctl demo --once\n  keyctl demo --guard",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" || a.pepper != "" {
				return usagef("demo uses its own key store: leave --db and --pepper out")
			}
			keyctl, err := self()
			if err != nil {
				return err
			}
			defer surviveBrokenPipe()()
			o := &demo.Options{Guard: guard}
			if once {
				return demo.Once(cmd.Context(), keyctl, a.stdout, o)
			}
			return demo.Serve(cmd.Context(), keyctl, a.stdout, o)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "run the steps and end")
	cmd.Flags().BoolVar(&guard, "guard", false, "put keyctl guard before the server")
	return cmd
}

// surviveBrokenPipe turns a write to a closed pipe into an error. Otherwise the signal would
// end the program at once and leave the key store and a valid key behind. The function that
// it returns undoes it.
func surviveBrokenPipe() func() {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// self is this program, and what its user would type to call it again.
func self() (demo.Keyctl, error) {
	path, err := os.Executable()
	if err != nil {
		return demo.Keyctl{}, fmt.Errorf("find this program's own file: %w", err)
	}
	return demo.Keyctl{Path: path, Shown: calledAs(path)}, nil
}

// calledAs is what to type for the program at path: its name if the shell finds it by that
// (Linux keyutils has another keyctl), go run if that built it, else its path.
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
