// Command keyctl issues, lists, checks and revokes the API keys of internal MCP
// servers. It acts on a key store on this machine; `keyctl init` makes one,
// `keyctl issue` is what to type next, and `keyctl demo --once` plays the whole
// story in a directory of its own.
//
// Each command is one file: its flags, then build a client, call it, print. The
// rules are in package keys, the connection in internal/connect. Exit codes are one
// table, in exit.go.
//
// Secrets go to standard output, once, and words to standard error, so that
// KEY=$(keyctl issue ci) just works. A key is read from standard input only: the
// command refuses to run when anything with a key's shape stands among its
// arguments, and no error repeats what was typed where a secret could have been.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := osEnv()
	ctx, env.keepOnHangup = endOnHangup(ctx)
	code := run(ctx, os.Args[1:], env)
	stop()
	os.Exit(code)
}
