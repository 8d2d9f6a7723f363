package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Serve starts the guarded servers, prints to out what to try, and ends with ctx.
func Serve(ctx context.Context, keyctl Keyctl, out io.Writer, o *Options) (err error) {
	st, err := newStage(keyctl, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	if err := st.init(ctx); err != nil {
		return err
	}
	token, err := st.issue(ctx, granted)
	if err != nil {
		return err
	}
	if err := errors.Join(st.writeFiles(token), st.serve(), st.serveRemote(ctx)); err != nil {
		return err
	}
	p := &page{out: out}
	st.invite(p)
	if p.err != nil {
		return fmt.Errorf("the commands to try cannot be printed: %w", p.err)
	}
	<-ctx.Done()
	p.line("\nEnded; everything is removed.")
	return nil
}

// The files that the printed commands use, so that no command contains the key, and each fits
// on a line.
const (
	keyFile     = "key"
	headersFile = "headers"
	callFile    = "call.json"
)

// callHeaders and callBody are a tool call in the protocol without sessions, which needs only
// one request.
const (
	callHeaders = `Content-Type: application/json
Accept: application/json, text/event-stream
MCP-Protocol-Version: 2026-07-28
Mcp-Method: tools/call
Mcp-Name: get_feels_like
`
	callBody = `{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
  "name": "get_feels_like",
  "arguments": {"celsius": -5, "wind_kmh": 30},
  "_meta": {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "curl", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {}
  }
}}
`
)

func (s *stage) writeFiles(token keys.Token) error {
	secret := token.Secret().Reveal()
	var errs []error
	for name, text := range map[string]string{
		keyFile:     secret + "\n",
		headersFile: "Authorization: Bearer " + secret + "\n" + callHeaders,
		callFile:    callBody,
	} {
		errs = append(errs, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// invite prints commands to try, ready to paste. They may be wider than 80 columns: a command
// that is broken into lines cannot be pasted.
func (s *stage) invite(p *page) {
	keyctl := s.keyctl.Shown + " --db " + shell.Quote(s.db())
	file := func(name string) string { return shell.Quote(filepath.Join(s.dir, name)) }
	if s.proxy != nil {
		p.line("keyctl guard guards an MCP server that has no guard of its own. It runs at\n%s", s.url)
	} else {
		p.line("A guarded MCP server runs at %s", s.url)
	}
	p.line("Its key store has one key, %s, for its tools %s.", keyName, granted)
	p.line("A second one, without the key store: its guard asks `keyctl serve`. It runs at\n%s", s.remote.url)
	p.line("\nIn another terminal, call a tool without the key, and with it:\n")
	p.line("  curl %s -d @%s", s.url, file(callFile))
	p.line("  curl %s -d @%s \\", s.url, file(callFile))
	p.line("    -H @%s", file(headersFile))
	p.line("\nThe second server answers alike. Look at the key, revoke it, and call both again:\n")
	p.line("  %s list", keyctl)
	p.line("  %s revoke %s --yes", keyctl, keyName)
	p.line("\nOr let Claude Code use it; its settings then hold the name of a variable, not the key:\n")
	p.line("  export MCPKEYS_DEMO_KEY=$(cat %s)", file(keyFile))
	p.line("  claude mcp add --transport http mcpkeys-demo %s \\", s.url)
	p.line("    --header 'Authorization: Bearer ${MCPKEYS_DEMO_KEY}'")
	p.line("\nCtrl-C ends the servers and removes everything.")
}
