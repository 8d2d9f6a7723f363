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

// ErrNoTerminal means that there is nothing to draw on.
var ErrNoTerminal = errors.New("needs a terminal; use `keyctl list`")

// CheckTerminal returns [ErrNoTerminal] unless a person sits at both ends and the
// terminal, by its name in TERM, can be drawn on.
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

// Run shows the dashboard on a terminal until the user leaves or ctx ends, and returns
// nil for both, or an [*UnansweredError] when a change was still under way. However it ends, a panic included, the terminal is as it was before.
func Run(ctx context.Context, manager admin.Manager, in, out *os.File, o *Options) error {
	m := New(manager, o)
	if width, height, err := term.GetSize(int(out.Fd())); err == nil {
		m.resize(width, height) // the first frame is a whole one
	}
	environ, err := withoutTraces()
	if err != nil {
		return err
	}
	program := tea.NewProgram(m,
		tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ),
		tea.WithoutSignalHandler(), // ctx is how the caller ends it
	)
	stop := context.AfterFunc(ctx, program.Quit) // not WithContext, which does not wait for the reader of keys
	defer stop()
	if _, err := program.Run(); err != nil {
		return errors.Join(fmt.Errorf("draw the dashboard: %w", err), m.left())
	}
	return m.left()
}

// withoutTraces turns off what the libraries offer for debugging: files that hold
// every byte that was drawn, and with it a secret.
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
