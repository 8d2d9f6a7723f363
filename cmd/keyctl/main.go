// Command keyctl issues, lists, checks and revokes the API keys of internal MCP
// servers. It acts on a key store on this machine; `keyctl init` makes one,
// `keyctl issue` is what to type next, and `keyctl demo --once` plays the whole
// story in a directory of its own.
//
// Each group of commands is one file: its flags, then build a client, call it, print.
// The rules are in package keys, the connection in internal/app/connect. What the commands
// share is in app.go, how results are printed in output.go and table.go, and the one
// table of exit codes in exit.go.
//
// Secrets go to standard output, once, and words to standard error, so that
// KEY=$(keyctl issue ci) just works. A key is read from standard input only: the
// command refuses to run when anything with a key's shape stands among its
// arguments, and no error repeats what was typed where a secret could have been.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := osEnv()
	ctx, env.keepOnHangup = endOnHangup(ctx)
	code := run(ctx, os.Args[1:], env)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, e *env) int {
	a := &app{env: e, output: formatTable}
	err := refuseTokens(args)
	if err == nil {
		root := newRoot(a)
		root.SetArgs(args)
		err = errors.Join(root.ExecuteContext(ctx), a.unhelpful)
	}
	return a.report(err, wantsJSON(args))
}

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

// endOnHangup returns a context that ends when the terminal is closed, unless the program
// was started with that signal ignored, as by nohup. After keep it does not end for it any
// more: for a command to which the signal means something else.
func endOnHangup(ctx context.Context) (ending context.Context, keep func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		cancel()
	}()
	return ctx, func() { signal.Stop(hangups) }
}
