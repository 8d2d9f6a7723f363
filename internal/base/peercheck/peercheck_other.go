//go:build !linux

package peercheck

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Socket is the Unix socket of a server.
type Socket struct{}

// New refuses every socket.
func New(path, _ string, _ time.Duration) (*Socket, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	return nil, &keys.InvalidError{Field: "server", Reason: "cannot be a unix socket on this system, which does not tell who listens; use https"}
}

// Dial is never called.
func (*Socket) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
