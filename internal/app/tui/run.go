package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/mcpkeys/mcpkeys/admin"
)

// ErrNoTerminal means that there is no terminal to draw on.
var ErrNoTerminal = errors.New("needs a terminal; use `keyctl list`")

// CheckTerminal returns [ErrNoTerminal] unless in and out are terminals, and name, from TERM,
// is a terminal that can be drawn on.
func CheckTerminal(in, out any, name string) error {
	for _, end := range []any{in, out} {
		f, ok := end.(*os.File)
		if !ok || !term.IsTerminal(int(f.Fd())) {
			return ErrNoTerminal
		}
	}
	if name == "dumb" {
		return ErrNoTerminal
	}
	return nil
}

// Run shows the dashboard on a terminal until the user leaves or ctx ends, and returns nil for
// both, or an [*UnansweredError] if a change was still running. It always restores the
// terminal, also after a panic.
func Run(ctx context.Context, manager admin.Manager, in, out *os.File, o *Options) error {
	m := New(manager, o)
	if width, height, err := term.GetSize(int(out.Fd())); err == nil {
		m.resize(width, height) // so that the first frame fills the terminal
	}
	environ, err := withoutTraces()
	if err != nil {
		return err
	}
	program := tea.NewProgram(m,
		tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ),
		tea.WithoutSignalHandler(), // the caller ends it by ctx
	)
	stop := context.AfterFunc(ctx, program.Quit) // not WithContext, which does not wait for the reader of keys
	defer stop()
	if _, err := program.Run(); err != nil {
		return errors.Join(fmt.Errorf("draw the dashboard: %w", err), m.left())
	}
	return m.left()
}

// withoutTraces turns off the debug files of the libraries: they hold every byte that was
// drawn, and so a secret.
func withoutTraces() ([]string, error) {
	for _, name := range []string{"TEA_TRACE", "TEA_DEBUG", "UV_DEBUG"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, fmt.Errorf("unset %s: %w", name, err)
		}
	}
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TEA_") || strings.HasPrefix(v, "UV_DEBUG=")
	}), nil
}
