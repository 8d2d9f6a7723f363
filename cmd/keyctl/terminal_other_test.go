//go:build !linux

package main

import (
	"fmt"
	"os"
)

// onTerminal is missing here: scripts that need a terminal run only on Linux.
func onTerminal() {
	_, _ = fmt.Fprintln(os.Stderr, "onterminal: only on Linux")
	os.Exit(125)
}
