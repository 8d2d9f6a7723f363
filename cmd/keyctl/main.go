// Command keyctl issues, lists, checks and revokes the API keys of internal MCP
// servers. It works on a key store on this machine, or through a keyctl serve.
// `keyctl init` makes a key store, `keyctl issue` makes a key, and
// `keyctl demo --once` shows both in a temporary directory.
//
// Each group of commands is one file: its flags, then open the key store, call it, print.
// The rules are in package keys, the connection is in internal/app/connect. The commands
// share app.go, print results with output.go and table.go, and take their exit codes from
// the table in exit.go.
//
// Secrets go to standard output, once, and all other text to standard error, so that
// KEY=$(keyctl issue ci) works. A secret is read from standard input only: keyctl refuses
// to run if an argument contains a key, and no error repeats a value that may be a secret.
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
		a.ran, err = root.ExecuteContextC(ctx)
		err = errors.Join(err, a.unhelpful)
	}
	return a.report(err, wantsJSON(args))
}

// env is everything outside the program that a command uses, so that a test can run any
// command without starting a process.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	now    func() time.Time
	called string // what the program was called by

	keepOnHangup func() // keeps the command running when the terminal is closed; nil if SIGHUP is ignored
}

func osEnv() *env {
	return &env{called: os.Args[0], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now}
}

// endOnHangup returns a context that ends when the terminal is closed (SIGHUP), unless the
// program was started with that signal ignored, as by nohup. keep stops that, for a command
// that uses SIGHUP for something else.
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
