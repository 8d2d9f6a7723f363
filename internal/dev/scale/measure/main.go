// Measure prints, as rows of a Markdown table, what a key store that fill made costs
// to open, to check against and to list, as package scale says. It changes nothing,
// and refuses a store too small to have a page 5,000. The memory is told on Linux only.
//
//	go run ./internal/dev/scale/measure big.db
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: measure PATH")
		os.Exit(1)
	}
	if err := measure(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
