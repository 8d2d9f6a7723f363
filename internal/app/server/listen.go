package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

// listen takes the socket of the supervisor, or opens the listener, and checks the address that
// was actually bound: a name may resolve to any address.
func listen(ctx context.Context, o *Options) (net.Listener, error) {
	listener, err := inherited()
	if err == nil && listener == nil {
		listener, err = open(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	switch at := listener.Addr(); {
	case o.TLSCert != "" || hostcheck.OnLoopback(at) || onSocket(at):
		return listener, nil
	case !o.InsecureHTTP:
		return nil, errors.Join(&keys.InvalidError{
			Field:  "listen",
			Reason: "is an address that other machines can reach, and plain HTTP would show keys to the network; use --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with TLS, or use --insecure-http",
		}, listener.Close())
	}
	o.Logger.WarnContext(ctx, "plain HTTP beyond this machine: keys can be read on the network")
	return listener, nil
}

// open opens a socket or a port.
func open(ctx context.Context, o *Options) (net.Listener, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if path, ok := strings.CutPrefix(o.Listen, socketPrefix); ok {
		if why := exposed(path); why != "" {
			o.Logger.WarnContext(ctx, "guards will refuse this socket", slog.String("reason", why))
		}
		return listenAt(ctx, path)
	}
	if _, port, err := net.SplitHostPort(o.Listen); err != nil || port == "" {
		return nil, &keys.InvalidError{Field: "listen", Reason: "must be an address with a port, such as 127.0.0.1:8420 or :8420, or unix: and the path of a socket"}
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // settle needs a socket that takes a filter
	listener, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, unlistened(o.Listen, err)
	}
	return listener, nil
}
