package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run keyctl as a process of its own, on a terminal if they like:
// this test binary under other names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keyctl": main, "mcpkeys": main, "onterminal": onTerminal})
}

// TestScripts runs testdata/script: one script a command, one a story. Those in
// local/ are about files and this machine; those in server/ start a server themselves.
func TestScripts(t *testing.T) {
	heedHangup(t)
	for _, dir := range []string{"testdata/script", "testdata/script/local", "testdata/script/server"} {
		t.Run(filepath.Base(dir), func(t *testing.T) { runScripts(t, dir) })
	}
}

// heedHangup has programs that are started from here heed SIGHUP, also where the tests
// themselves run under nohup: what is caught here is at its default in a child.
func heedHangup(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
}

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[mcpStop{}] = new(func())
			// The race detector lets every program sleep a second before it ends.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("COLUMNS", "80") // as a terminal would be; columns.txtar is about others
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      cmdExits,
			"sql":        cmdSQL,
			"flock":      cmdFlock,
			"mistype":    cmdMistype,
			"forge":      cmdForge,
			"nosecret":   cmdNoSecret,
			"noescape":   cmdNoEscape,
			"onlyjson":   cmdOnlyJSON,
			"mode":       cmdMode,
			"many":       cmdMany,
			"narrow":     cmdNarrow,
			"asanswered": cmdAsAnswered,
			"remote":     cmdRemote,
			"serve":      cmdServe,
			"request":    cmdRequest,
			"use":        cmdUse,
			"mcp":        cmdMCP,
		},
	})
}

func cancelled(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// waitingReader gives nothing until it is closed.
type waitingReader struct{ closed chan struct{} }

func (r waitingReader) Read([]byte) (int, error) {
	<-r.closed
	return 0, io.EOF
}
