package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/mcpkeys/mcpkeys/keys"
)

// listen opens the listener, and looks at the address that was really bound: a name
// may resolve to anything.
func listen(ctx context.Context, o *Options) (net.Listener, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, &keys.InvalidError{Field: "tls", Reason: "takes both a certificate and its key: --tls-cert and --tls-key"}
	}
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, unlistened(o.Listen, err)
	}
	switch {
	case config != nil:
		return tls.NewListener(listener, config), nil
	case isLoopback(listener.Addr()):
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

func tlsConfig(o *Options) (*tls.Config, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return nil, &keys.InvalidError{Field: "tls", Reason: "certificate and key cannot be used together; name two PEM files that belong to each other and that this user may read"}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func isLoopback(addr net.Addr) bool {
	at, ok := addr.(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}
