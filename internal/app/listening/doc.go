// Package listening is how a server of mcpkeys listens, answers and ends: at an address, at a Unix
// socket or at a socket that a supervisor passed, with TLS or without, until its context ends.
//
// [Listen] opens the listeners, and [Server.Serve] serves on them. The package refuses to listen
// beyond loopback without TLS, unless Options.InsecureHTTP is set. `keyctl serve` and `keyctl
// guard` use it.
package listening

import (
	"log/slog"
	"time"
)

// Options say where and how a server listens. The fields are those of the flags of keyctl.
type Options struct {
	Listen          string // host:port, or unix: and a path
	TLSCert, TLSKey string // PEM files; both or none
	InsecureHTTP    bool   // listen beyond loopback without TLS
	Logger          *slog.Logger

	Drain  time.Duration   // how long it accepts connections after its context ends
	Reload <-chan struct{} // reads the certificate and its key again; nil: never
	Abort  <-chan struct{} // ends the server at once; nil: never
}
