// Command tui is the dashboard of `keyctl tui` as a program of its own, for a machine that
// needs nothing else of keyctl.
//
// It takes --db, --pepper, --server, --server-user, --insecure-http and --read-only, and reads
// the KEYCTL_ variables, as keyctl does. The dashboard is in internal/app/tui, the connection to the store
// in internal/app/connect.
//
// It refuses to start without a terminal, without a store, or if an argument contains a key.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "tui: "+wording.Clean(err.Error()))
	}
	os.Exit(code)
}

const usage = "wrong arguments; use only --db FILE, --pepper FILE, --server URL, --server-user USER, --insecure-http and --read-only"

// run returns the exit code: 1 for a wrong command line or terminal, 2 for a store that
// cannot be used.
func run(ctx context.Context, args []string) (code int, err error) {
	if slices.ContainsFunc(args, keys.HoldsToken) {
		return 1, errors.New("a key must never be typed as an argument; if it was a real one, revoke it")
	}
	var s connect.Settings
	var readOnly bool
	flags := flag.NewFlagSet("tui", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // its errors repeat the arguments
	flags.StringVar(&s.DB, "db", "", "")
	flags.StringVar(&s.PepperFile, "pepper", "", "")
	flags.StringVar(&s.Server, "server", "", "")
	flags.StringVar(&s.ServerUser, "server-user", "", "")
	flags.BoolVar(&s.InsecureHTTP, "insecure-http", false, "")
	flags.BoolVar(&readOnly, "read-only", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 1, errors.New(usage)
	}
	if err := tui.CheckTerminal(os.Stdin, os.Stdout, os.Getenv("TERM")); err != nil {
		return 1, err
	}
	s = s.WithEnv(os.Getenv)
	admin, err := s.Admin(ctx)
	if err != nil {
		return 2, err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	if err := tui.Run(ctx, admin, os.Stdin, os.Stdout, &tui.Options{ReadOnly: readOnly, MayChange: admin.MayChange, Store: cmp.Or(s.Server, s.DB)}); err != nil {
		return 2, err
	}
	return 0, nil
}
