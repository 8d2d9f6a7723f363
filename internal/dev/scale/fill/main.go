// Fill makes a key store of as many keys as one likes, with a file of their tokens
// beside it, as package scale says. It refuses a path where there is something.
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
