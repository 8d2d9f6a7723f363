package main

import (
	"io"
	"os"
	"strconv"
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
