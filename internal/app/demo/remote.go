package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"

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
	address, err := s.serveKeys()
	if err != nil {
		return err
	}
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

// listening finds the address in the log of keyctl serve.
var listening = regexp.MustCompile(`msg=listening url=(\S+)`)

// serveKeys starts keyctl serve as a process, and returns its address.
func (s *stage) serveKeys() (address string, err error) {
	cmd := exec.Command(s.keyctl.Path, "serve", "--listen", "127.0.0.1:0", "--drain", "0") //nolint:noctx // close ends it
	cmd.Dir, cmd.Env = s.dir, environment(os.Environ())
	log, err := cmd.StderrPipe()
	if err != nil {
		return "", fmt.Errorf("start keyctl serve: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start keyctl serve: %w", err)
	}
	s.remote.process = cmd
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return found[1], nil
		}
		said = append(said, lines.Text())
	}
	return "", fmt.Errorf("keyctl serve did not listen: %s", strings.Join(said, "; "))
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
	if r.process != nil {
		errs = append(errs, r.process.Process.Signal(os.Interrupt))
		_ = r.process.Wait() // its key store is removed, in whatever state it ended
	}
	return errors.Join(errs...)
}
