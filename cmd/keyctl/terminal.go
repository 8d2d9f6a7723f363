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

// isTerminal reports whether a person sits at the other end of stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Widths, in columns.
const (
	defaultWidth = 80      // of help, and of a terminal that does not tell
	leastWidth   = 40      // what is narrower is laid out for this
	unlimited    = 1 << 20 // where nothing is cut: a program or a file gets whole tables
)

// width is how many columns a line on stream may fill: what COLUMNS says, else what the
// terminal has. What is no terminal has no end of a line.
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

// colourful reports whether stream takes escape sequences, and wants them.
func (e *env) colourful(stream io.Writer) bool {
	return isTerminal(stream) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
}

// canAsk reports whether somebody is there to answer: standard input is a terminal.
func (e *env) canAsk() bool { return isTerminal(e.stdin) }

// terminal opens the controlling terminal, where questions are asked: the output
// streams may have gone elsewhere.
func terminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usagef("there is no terminal to ask on")
	}
	return tty, nil
}

// ask puts a question that anything but y or yes answers with no.
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

// confirmNumber lists the keys that will be revoked, and wants their number typed: who
// did not read the list cannot know it.
func (a *app) confirmNumber(ctx context.Context, list []*keys.Key) error {
	for _, k := range list {
		a.say("  %s", label(k))
	}
	answer, err := askLine(ctx, "Type the number of keys that will be revoked: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != itoa(len(list)) {
		return usagef("nothing was revoked: the number of keys is another")
	}
	return nil
}

// askHidden reads a line that is not shown while it is typed. Enter and Ctrl-D end it,
// Ctrl-C gives up.
func askHidden(ctx context.Context, prompt string) (string, error) {
	tty, err := terminal()
	if err != nil {
		return "", err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	fd := int(tty.Fd())
	visible, err := term.MakeRaw(fd) // x/term's ReadPassword waits on after Ctrl-D
	if err != nil {
		return "", usagef("the terminal cannot hide what is typed; feed the key to standard input: keyctl verify - <FILE")
	}
	defer func() { _ = term.Restore(fd, visible) }() // an interrupt comes here in the middle of it
	_, _ = fmt.Fprint(tty, prompt)
	text, err := interruptible(ctx, func() (string, error) { return readHidden(tty) })
	_, _ = fmt.Fprint(tty, "\r\n")
	if errors.Is(err, io.EOF) {
		return "", usagef("the input ended before a key was typed; type or paste one and press Enter, or feed it to standard input: keyctl verify - <FILE")
	}
	return text, err
}

// What a terminal in raw mode sends for the keys that edit a line.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	ctrlU     = 0x15
	backspace = '\b'
	del       = 0x7f
)

// readHidden reads a line from a terminal in raw mode, a byte at a time: what follows
// is for whoever reads next. The end of input before anything was typed is [io.EOF].
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

// interruptible waits for read, but no longer than ctx: an interrupt must end a
// program that waits for a person. A read that was given up on ends with the program.
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
