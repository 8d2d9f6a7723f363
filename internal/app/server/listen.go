package server

import (
	"context"
	"errors"
	"net"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

// listen opens the listener, and looks at the address that was really bound: a name
// may resolve to anything.
func listen(ctx context.Context, o *Options) (net.Listener, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if _, port, err := net.SplitHostPort(o.Listen); err != nil || port == "" {
		return nil, &keys.InvalidError{Field: "listen", Reason: "must be an address with a port, such as 127.0.0.1:8420 or :8420"}
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // settle needs a socket that takes a filter
	listener, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, unlistened(o.Listen, err)
	}
	switch {
	case o.TLSCert != "" || hostcheck.OnLoopback(listener.Addr()):
		return listener, nil
	case !o.InsecureHTTP:
		return nil, errors.Join(&keys.InvalidError{
			Field:  "listen",
			Reason: "is not on this machine alone, and plain HTTP would show keys to the network: name --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks TLS, or say --insecure-http",
		}, listener.Close())
	}
	o.Logger.WarnContext(ctx, "plain HTTP beyond this machine: keys cross the network readable")
	return listener, nil
}
