// Command cmd runs the benchmarks of package bench; it is not part of the product. Run it with
// make: make bench, bench-http, bench-peers, bench-check. It works in a temporary directory and
// uses no other key store.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
