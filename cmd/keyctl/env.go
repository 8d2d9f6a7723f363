package main

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// env is everything that a command touches of the world around it, so that a test
// can run any command without a process of its own.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	now    func() time.Time
	called string // what the program was called by

	keepOnHangup func() // keeps the command running when the terminal is closed; nil where nothing ends it
}

func osEnv() *env {
	return &env{called: os.Args[0], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now}
}

// isTerminal reports whether a person sits at the other end of stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// defaultWidth is what tables and help are laid out for when nobody knows better.
const defaultWidth = 80

// width is how many columns a line on standard output may fill.
func (e *env) width() int {
	if f, ok := e.stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 40 {
			return w
		}
	}
	return defaultWidth
}

// colourful reports whether stream takes escape sequences, and wants them.
func (e *env) colourful(stream io.Writer) bool {
	return isTerminal(stream) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
}
