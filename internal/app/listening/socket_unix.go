//go:build unix

package listening

import "syscall"

// private has the socket file made 0600 where the system takes its mode from the socket; it is
// set again after that.
func private(c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
