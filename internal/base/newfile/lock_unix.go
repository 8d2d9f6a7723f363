//go:build unix

package newfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Lock makes every other process that locks the same directory wait until unlock is called. It
// is independent of SQLite's file locks, and ends with the process.
func Lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close() // only opened
		return nil, err
	}
	return func() { _ = d.Close() }, nil // which unlocks
}

var errNotOurs = errors.New("run this as the owner of the file to replace")

// sameOwner gives the file to the owner of the other one, because root may work for the user of
// a server. Without the right to do so, it fails rather than leave a file that its owner cannot
// read. The file's group gets the rights that the other file's group has.
func sameOwner(name string, other fs.FileInfo) error {
	want, ok := other.Sys().(*syscall.Stat_t)
	group := other.Mode().Perm() & 0o060
	if !ok || int(want.Uid) == os.Geteuid() && group == 0 {
		return nil
	}
	if err := os.Chown(name, int(want.Uid), int(want.Gid)); err != nil {
		return errNotOurs
	}
	return os.Chmod(name, 0o600|group)
}
