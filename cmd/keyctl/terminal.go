package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

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

// askHidden reads a line that is not shown while it is typed. Only Enter and an
// interrupt end it: x/term reads on after Ctrl-D, for as long as nothing was typed.
func askHidden(ctx context.Context, prompt string) (string, error) {
	tty, err := terminal()
	if err != nil {
		return "", err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	fd := int(tty.Fd())
	visible, err := term.GetState(fd)
	if err != nil {
		return "", usagef("the terminal cannot hide what is typed; feed the key to standard input: keyctl verify - <FILE")
	}
	defer func() { _ = term.Restore(fd, visible) }() // an interrupt comes here in the middle of it
	_, _ = fmt.Fprint(tty, prompt)
	text, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	_, _ = fmt.Fprintln(tty)
	if err != nil && ctx.Err() == nil {
		return "", usagef("the terminal ended before a key was typed")
	}
	return string(text), err
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
