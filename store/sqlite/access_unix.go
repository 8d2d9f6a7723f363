//go:build unix

package sqlite

import "syscall"

// mayWrite asks the system, and so opens nothing: see [inspect].
func mayWrite(path string) error {
	const write = 2 // W_OK
	return syscall.Access(path, write)
}
