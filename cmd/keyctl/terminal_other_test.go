//go:build !linux

package main

import (
	"fmt"
	"os"
)

// onTerminal is missing here: scripts with a terminal of their own run on Linux.
func onTerminal() {
	_, _ = fmt.Fprintln(os.Stderr, "onterminal: only on Linux")
	os.Exit(125)
}
