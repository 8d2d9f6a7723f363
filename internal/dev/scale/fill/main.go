// Fill makes a key store with any number of keys, with a file of their tokens beside it, see
// package scale. It refuses a path that exists.
//
//	go run ./internal/dev/scale/fill big.db 1000000
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fill PATH NUMBER")
		os.Exit(1)
	}
	n, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = scale.Fill(context.Background(), os.Args[1], n, time.Now())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
