package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/mcpkeys/mcpkeys/keys"
)

// isTerminal reports whether stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Widths, in columns.
const (
	defaultWidth = 80      // of help, and of a terminal of unknown width
	leastWidth   = 40      // a narrower terminal gets this width
	unlimited    = 1 << 20 // nothing is cut: tables in files and pipes
)

// width is how many columns a line on stream may fill: COLUMNS if it is set, else the width
// of the terminal. A file or a pipe is unlimited.
func (e *env) width(stream io.Writer) int {
	if n, err := strconv.Atoi(e.getenv("COLUMNS")); err == nil && n > 0 {
		return min(max(n, leastWidth), unlimited)
	}
	if !isTerminal(stream) {
		return unlimited
	}
	if w, _, err := term.GetSize(int(stream.(*os.File).Fd())); err == nil && w >= leastWidth { // a terminal is a file
		return w
	}
	return defaultWidth
}

// colourful reports whether stream is a terminal that shows colours.
func (e *env) colourful(stream io.Writer) bool {
	return isTerminal(stream) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
}

// canAsk reports whether a person can answer: standard input is a terminal.
func (e *env) canAsk() bool { return isTerminal(e.stdin) }

// terminal opens the controlling terminal for questions: the output streams may be files.
func terminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usagef("there is no terminal to ask on")
	}
	return tty, nil
}

// ask asks a question. Any answer but y or yes means no.
func ask(ctx context.Context, question string) (bool, error) {
	answer, err := askLine(ctx, question+" [y/N] ")
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// askLine reads what is typed after the prompt; the end of input is an empty line.
func askLine(ctx context.Context, prompt string) (string, error) {
	tty, err := terminal()
	if err != nil {
		return "", err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	_, _ = fmt.Fprint(tty, prompt)
	answer, err := interruptible(ctx, func() (string, error) {
		line, _ := bufio.NewReader(tty).ReadString('\n')
		return line, nil
	})
	if err != nil {
		_, _ = fmt.Fprintln(tty)
	}
	return answer, err
}

// confirmNumber lists the keys that will be revoked, and asks for their number, so that the
// user reads the list.
func (a *app) confirmNumber(ctx context.Context, list []*keys.Key) error {
	for _, k := range list {
		a.say("  %s", label(k))
	}
	answer, err := askLine(ctx, "Type the number of keys that will be revoked: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != itoa(len(list)) {
		return usagef("nothing was revoked: that is not the number of keys")
	}
	return nil
}

// askHidden reads a line without showing it. Enter and Ctrl-D end it, Ctrl-C cancels.
func askHidden(ctx context.Context, prompt string) (string, error) {
	tty, err := terminal()
	if err != nil {
		return "", err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	fd := int(tty.Fd())
	visible, err := term.MakeRaw(fd) // x/term's ReadPassword does not end at Ctrl-D
	if err != nil {
		return "", usagef("this terminal cannot hide what you type; give the key on standard input: keyctl verify - <FILE")
	}
	defer func() { _ = term.Restore(fd, visible) }() // also after an interrupt
	_, _ = fmt.Fprint(tty, prompt)
	text, err := interruptible(ctx, func() (string, error) { return readHidden(tty) })
	_, _ = fmt.Fprint(tty, "\r\n")
	if errors.Is(err, io.EOF) {
		return "", usagef("the input ended before a key was typed; type or paste the key and press Enter, or give it on standard input: keyctl verify - <FILE")
	}
	return text, err
}

// The bytes that a terminal in raw mode sends for the editing keys.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	ctrlU     = 0x15
	backspace = '\b'
	del       = 0x7f
)

// readHidden reads a line from a terminal in raw mode, a byte at a time, so that it takes
// nothing after the line. If the input ends before anything was typed, the error is [io.EOF].
func readHidden(tty io.Reader) (string, error) {
	var line []byte
	var typed [1]byte
	for {
		if _, err := io.ReadFull(tty, typed[:]); err != nil {
			return "", io.EOF
		}
		switch c := typed[0]; {
		case c == ctrlC:
			return "", context.Canceled
		case c == ctrlD && len(line) == 0:
			return "", io.EOF
		case c == ctrlD, c == '\r', c == '\n':
			return string(line), nil
		case c == ctrlU:
			line = line[:0]
		case c == backspace, c == del:
			line = line[:max(0, len(line)-1)]
		case len(line) < maxInput:
			line = append(line, c)
		}
	}
}

// interruptible waits for read until ctx ends, so that an interrupt ends a program that waits
// for input. The read itself then ends with the program.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
