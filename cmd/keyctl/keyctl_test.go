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

// TestMain lets scripts run this test binary as keyctl, mcpkeys, or onterminal.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keyctl": main, "mcpkeys": main, "onterminal": onTerminal})
}

// TestScripts runs testdata/script. The scripts in local/ are about files and this machine;
// those in server/ start a server themselves.
func TestScripts(t *testing.T) {
	for _, dir := range []string{"testdata/script", "testdata/script/local", "testdata/script/server"} {
		t.Run(filepath.Base(dir), func(t *testing.T) { runScripts(t, dir) })
	}
}

// heedHangup makes programs that the tests start end at SIGHUP, also if the tests run under
// nohup: a signal that is caught here has its default effect in a child.
func heedHangup(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
}

func runScripts(t *testing.T, dir string) {
	heedHangup(t)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[mcpStop{}] = new(func())
			// The race detector lets every program sleep a second before it ends.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("COLUMNS", "80") // like a terminal; columns.txtar tests other widths
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
			"proxy":      cmdProxy,
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
