package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// keyName is the name of the demo's key.
const keyName = "demo-agent"

// stage is a directory with the key store, and the guarded server once it runs.
type stage struct {
	dir    string
	keyctl Keyctl
	opts   *Options

	store    *sqlite.Reader
	verifier *verifier.Verifier
	server   *http.Server
	url      string

	proxy  *exec.Cmd // keyctl guard, if it guards the server
	remote remoteGuard
}

func newStage(keyctl Keyctl, o *Options) (*stage, error) {
	dir, err := os.MkdirTemp("", "mcpkeys-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	return &stage{dir: dir, keyctl: keyctl, opts: o}, nil
}

func (s *stage) db() string { return filepath.Join(s.dir, "mcpkeys.db") }

// close ends the server and removes the directory.
func (s *stage) close() error {
	errs := []error{s.remote.close(), interrupt(s.proxy)}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.verifier != nil {
		errs = append(errs, s.verifier.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// init makes the key store with keyctl, and checks its files.
func (s *stage) init(ctx context.Context) error {
	if _, err := s.run(ctx, "init"); err != nil {
		return err
	}
	for _, file := range []string{s.db(), s.db() + ".pepper"} {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("keyctl init did not make %s", filepath.Base(file))
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			return fmt.Errorf("%s has mode %04o, so other users may read it; want 0600", filepath.Base(file), mode)
		}
	}
	return nil
}

// issue makes the key with keyctl, for the tools whose names match glob.
func (s *stage) issue(ctx context.Context, glob string) (keys.Token, error) {
	return s.secretOf(ctx, "issue", keyName, "--tool", glob)
}

// secretOf runs a command that prints only a secret.
func (s *stage) secretOf(ctx context.Context, args ...string) (keys.Token, error) {
	out, err := s.run(ctx, args...)
	if err != nil {
		return keys.Token{}, err
	}
	token, err := keys.ParseToken(out)
	if err != nil {
		return keys.Token{}, fmt.Errorf("keyctl %s did not print a key alone: %w", args[0], err)
	}
	return token, nil
}

// serve starts the guarded server. Any program guards its MCP server with these lines.
func (s *stage) serve() error {
	st, err := sqlite.OpenVerifier(s.db(), nil)
	if err != nil {
		return err
	}
	s.store = st
	if s.opts != nil && s.opts.Guard {
		return s.serveBehind()
	}
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		return err
	}
	s.verifier = v
	s.server, s.url, err = s.listen(v)
	return err
}

// serveBehind starts a server that knows nothing of keys, and keyctl guard in front of it.
func (s *stage) serveBehind() error {
	var err error
	var behind string
	if s.server, behind, err = serveAt(unguarded(weather.New())); err != nil {
		return err
	}
	s.proxy, s.url, err = s.start("guard", "--audience", audience, "--listen", "127.0.0.1:0", "--upstream", behind)
	return err
}

// unguarded serves both eras of the protocol.
func unguarded(server *mcp.Server) http.Handler {
	get := func(*http.Request) *mcp.Server { return server }
	sessions := mcp.NewStreamableHTTPHandler(get, nil)
	sessionless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" && r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28" {
			sessionless.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	})
}

// listen starts an MCP server whose guard asks v.
func (s *stage) listen(v *verifier.Verifier) (server *http.Server, url string, err error) {
	guard := middleware.New(v, &middleware.Options{Audience: audience})
	return serveAt(s.opts.guarded()(guard, weather.New()))
}

func serveAt(h http.Handler) (server *http.Server, url string, err error) {
	mux := http.NewServeMux()
	mux.Handle("/mcp", h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen on loopback: %w", err)
	}
	server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // ends with close; if it fails, the calls fail
	return server, "http://" + l.Addr().String() + "/mcp", nil
}
