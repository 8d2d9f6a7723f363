package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// canAsk reports whether somebody is there to answer: standard input is a terminal.
func (e *env) canAsk() bool { return isTerminal(e.stdin) }

// terminal opens the controlling terminal, where questions are asked: the output
// streams may have gone elsewhere.
func (e *env) terminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usagef("there is no terminal to ask on")
	}
	return tty, nil
}

// ask puts a question that anything but y or yes answers with no.
func (e *env) ask(question string) (bool, error) {
	tty, err := e.terminal()
	if err != nil {
		return false, err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	_, _ = fmt.Fprintf(tty, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(tty).ReadString('\n') // the end of input is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// askHidden reads a line that is not shown while it is typed.
func (e *env) askHidden(prompt string) (string, error) {
	tty, err := e.terminal()
	if err != nil {
		return "", err
	}
	defer func() { _ = tty.Close() }() // nothing written is lost
	_, _ = fmt.Fprint(tty, prompt)
	text, err := term.ReadPassword(int(tty.Fd()))
	_, _ = fmt.Fprintln(tty)
	if err != nil {
		return "", usagef("the terminal ended before a key was typed")
	}
	return string(text), nil
}
