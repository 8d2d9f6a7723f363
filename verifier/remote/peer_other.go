//go:build !linux

package remote

import (
	"context"
	"errors"
	"net"
)

type peer struct{}

func newPeer(string, string) (*peer, error) {
	return nil, badAddress("cannot be a unix socket on this system, which does not tell who listens; use https")
}

func (*peer) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
