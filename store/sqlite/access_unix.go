//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// mayWrite asks the system, and so opens nothing: see [inspect].
func mayWrite(path string) error {
	const write = 2 // W_OK
	return syscall.Access(path, write)
}

// lockDir keeps every other process that asks waiting until unlock is called. It has
// nothing to do with the locks that SQLite holds on files.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close() // nothing was written
		return nil, err
	}
	return func() { _ = d.Close() }, nil // which unlocks
}
