//go:build unix

package newfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Lock keeps every other process that locks the same directory waiting until unlock is
// called. It has nothing to do with the locks that SQLite holds on files, and ends with
// the process.
func Lock(dir string) (unlock func(), err error) {
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

var errNotOurs = errors.New("run as the user who owns the file that is replaced")

// sameOwner gives the file to whom the other belongs: root may be at work for the user
// of a server. Who may not give a file away would leave one that its owner cannot read.
// What the group of the other may do, the group of the file may.
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
