package listening

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Listen takes the socket of the supervisor, or opens the listener of o.
func Listen(ctx context.Context, o *Options) (net.Listener, error) {
	listener, err := inherited()
	if err != nil {
		return nil, err
	}
	if listener != nil {
		return listener, o.mayListen(ctx, "listen", listener)
	}
	return Open(ctx, o, "listen", o.Listen)
}

// Open opens the listener at an address that the field of that name gave.
func Open(ctx context.Context, o *Options, field, address string) (net.Listener, error) {
	listener, err := open(ctx, o, field, address)
	if err != nil {
		return nil, err
	}
	return listener, o.mayListen(ctx, field, listener)
}

// mayListen checks the address that was actually bound: a name may resolve to any address. It
// closes a listener that it refuses.
func (o *Options) mayListen(ctx context.Context, field string, listener net.Listener) error {
	switch at := listener.Addr(); {
	case o.TLSCert != "" || hostcheck.OnLoopback(at) || OnSocket(at):
		return nil
	case !o.InsecureHTTP:
		return errors.Join(&keys.InvalidError{
			Field:  field,
			Reason: "is an address that other machines can reach, and plain HTTP would show keys to the network; use --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with TLS, or use --insecure-http",
		}, listener.Close())
	}
	o.Logger.WarnContext(ctx, "plain HTTP beyond this machine: keys can be read on the network")
	return nil
}

// open opens a socket or a port.
func open(ctx context.Context, o *Options, field, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, socketPrefix); ok {
		if why := exposed(path); why != "" {
			o.Logger.WarnContext(ctx, "guards will refuse this socket", slog.String("reason", why))
		}
		return listenAt(ctx, field, path)
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return nil, &keys.InvalidError{Field: field, Reason: "must be an address with a port, such as 127.0.0.1:8420 or :8420, or unix: and the path of a socket"}
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // settle needs a socket that takes a filter
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, unlistened(field, address, err)
	}
	return listener, nil
}
