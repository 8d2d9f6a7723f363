package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// The second server opens neither database nor pepper: its guard asks keyctl serve, with a
// verify key.
const (
	verifyKeyName = "demo-guard"
	audience      = "weather"
)

// serveRemote starts keyctl serve, and a second guarded server that asks it. On a server of its
// own this is the whole set-up of a guard.
func (s *stage) serveRemote(ctx context.Context) error {
	verifyKey, err := s.secretOf(ctx, "issue", verifyKeyName, "--admin", "--scope", keys.ScopeVerify, "--audience", audience)
	if err != nil {
		return err
	}
	process, address, err := s.start("serve", "--listen", "127.0.0.1:0", "--drain", "0")
	if err != nil {
		return err
	}
	s.remote.process = process
	// Ctrl-C ends keyctl serve together with the demo; the guard would log that it is gone.
	v, err := verifier.New(remote.New(address, &remote.Options{ //nolint:contextcheck // it runs until close
		Key: verifyKey.Secret(), Audience: audience, InsecureHTTP: true, // plain HTTP stays on this machine
		Logger: slog.New(slog.DiscardHandler),
	}), &verifier.Options{OnUseError: func(error) {}})
	if err != nil {
		return err
	}
	s.remote.verifier = v
	s.remote.server, s.remote.url, err = s.listen(v)
	return err
}

// guardRemotely is the step that starts the second server.
func (s *story) guardRemotely(ctx context.Context) (string, error) {
	if err := s.serveRemote(ctx); err != nil {
		return "", err
	}
	return "it has no database and no pepper: its guard asks with a verify key", nil
}

// knockRemote sends the client's secret to the second server, which must answer want.
func (s *story) knockRemote(ctx context.Context, want int) error {
	status, _, err := knock(ctx, s.remote.url, *s.client.sender.key.Load())
	if err == nil && status != want {
		err = fmt.Errorf("the second server answered %d where it must answer %d", status, want)
	}
	return err
}

// remoteGuard is the second server and what it needs.
type remoteGuard struct {
	process  *exec.Cmd // keyctl serve
	verifier *verifier.Verifier
	server   *http.Server
	url      string
}

func (r *remoteGuard) close() error {
	var errs []error
	if r.server != nil {
		errs = append(errs, r.server.Close())
	}
	if r.verifier != nil {
		_ = r.verifier.Close() // counts of use that cannot be delivered are removed anyway
	}
	return errors.Join(append(errs, interrupt(r.process))...)
}
