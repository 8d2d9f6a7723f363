// Package peercheck connects to the Unix socket of a server after checking who listens there,
// for programs that send secrets: guards and keyctl.
//
// [Path] tells whether an address is a socket. [New] takes the path, and [Socket.Dial] connects.
//
// Any user may put a socket where the server's is expected, if the directory lets it, and would
// be sent secrets. So the package refuses a directory that other users may write to, and a
// listener that runs neither as root nor as the server's user. The system tells who called
// listen; with socket activation that is root. It refuses a relative path, which another working
// directory leads elsewhere, and all sockets on systems that do not tell who listens.
package peercheck

import (
	"path/filepath"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Path returns the path of an address that begins with unix:.
func Path(address string) (path string, isSocket bool) { return strings.CutPrefix(address, "unix:") }

// maxPath is the longest path of a socket on every system, in bytes.
const maxPath = 103

// checkPath refuses a path that does not always lead to the same socket. The error does not
// repeat the path, which may be a secret.
func checkPath(path string) error {
	const must = "must be unix: and the absolute path of the server's socket, such as unix:/run/mcpkeys/socket"
	switch {
	case !filepath.IsAbs(path) || keys.HoldsToken(path):
		return &keys.InvalidError{Field: "server", Reason: must}
	case len(path) > maxPath:
		return keys.Invalid("server", must+", of at most %d bytes", maxPath)
	}
	return nil
}

// RefusedError says why a socket is not used. Nothing was sent.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }
