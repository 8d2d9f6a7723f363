// Measure prints, as rows of a Markdown table, the cost of opening, verifying with and listing
// a key store that fill made, see package scale. It changes nothing, and refuses a store that
// has no page 5,000. Memory is printed on Linux only.
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
