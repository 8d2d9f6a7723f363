package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Serve sets up the stage, prints to out what to try on it, and keeps it until ctx
// ends.
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
	if err := errors.Join(st.writeKey(token), st.serve()); err != nil {
		return err
	}
	p := &page{out: out}
	st.invite(p)
	if p.err != nil {
		return fmt.Errorf("print what to try: %w", p.err)
	}
	<-ctx.Done()
	p.line("\nGone, and the directory with it.")
	return nil
}

func (s *stage) keyFile() string    { return filepath.Join(s.dir, "key") }
func (s *stage) headerFile() string { return filepath.Join(s.dir, "header") }

// writeKey puts the key into two files for its owner: alone, and as the header that
// curl reads from a file, so that it need not stand in a command line.
func (s *stage) writeKey(token keys.Token) error {
	secret := token.Secret().Reveal()
	return errors.Join(
		os.WriteFile(s.keyFile(), []byte(secret+"\n"), 0o600),
		os.WriteFile(s.headerFile(), []byte("Authorization: Bearer "+secret+"\n"), 0o600),
	)
}

// invite prints what to try, ready to paste. Commands may be wider than a page:
// a broken one could not be pasted.
func (s *stage) invite(p *page) {
	keyctl := s.keyctl.Shown + " --db " + s.db()
	p.line("A guarded MCP server is up at %s", s.url)
	p.line("It has a key store of its own and one key, %s, for its tools %s.", keyName, granted)
	p.line("\nIn another terminal, call it without a key, and with it:\n")
	p.line("  curl -i -X POST %s", s.url)
	p.line("  curl -s -H @%s \\", s.headerFile())
	for _, h := range []string{
		"Content-Type: application/json", "Accept: application/json, text/event-stream",
		"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: get_feels_like",
	} {
		p.line("    -H '%s' \\", h)
	}
	p.line("    -d '%s' \\", feelsLikeRequest)
	p.line("    %s", s.url)
	p.line("\nLook at the key, end it, and call again:\n")
	p.line("  %s list", keyctl)
	p.line("  %s revoke %s --yes", keyctl, keyName)
	p.line("\nLet Claude Code use it (the key stays in the environment):\n")
	p.line("  export MCPKEYS_DEMO_KEY=$(cat %s)", s.keyFile())
	p.line("  claude mcp add --transport http mcpkeys-demo %s \\", s.url)
	p.line("    --header 'Authorization: Bearer ${MCPKEYS_DEMO_KEY}'")
	p.line("\nCtrl-C ends it and takes the directory away.")
}

// feelsLikeRequest is a call in the protocol's form without sessions, which fits
// into one request.
const feelsLikeRequest = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_feels_like","arguments":{"celsius":-5,"wind_kmh":30},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"curl","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
