//go:build unix

package sqlite

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile is one opening of a file to lock. Locks belong to the opening: two of one
// process keep each other waiting like those of two processes.
type lockFile struct {
	f  *os.File
	id fileID
}

// openLock opens the file, or makes it, empty and 0600. It returns nil if it cannot.
func openLock(path string) *lockFile {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil
	}
	l := &lockFile{f: f}
	if info, err := f.Stat(); err == nil {
		l.id, err = identityOf(info)
		if err == nil {
			return l
		}
	}
	l.close()
	return nil
}

// like is makeLike for the file.
func (l *lockFile) like(database string) { makeLike(l.f, database) }

// makeLike gives a file the group of the database and its group's rights, because users of
// that group who may change keys must be able to use the file too. It does not change a file
// of another user.
func makeLike(f *os.File, database string) {
	info, err := os.Stat(database)
	if err != nil || info.Mode().Perm()&0o060 == 0 {
		return
	}
	db, ok1 := info.Sys().(*syscall.Stat_t)
	mine, err := f.Stat()
	if err != nil {
		return
	}
	own, ok2 := mine.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || int(own.Uid) != os.Geteuid() || own.Gid != db.Gid && f.Chown(-1, int(db.Gid)) != nil {
		return
	}
	_ = f.Chmod(info.Mode().Perm() & 0o660) // or others of the group hear that they cannot open it
}

// isAt reports whether the file is still what has the name.
func (l *lockFile) isAt(path string) bool {
	id, err := identify(path)
	return err == nil && id == l.id
}

func (l *lockFile) tryLock() bool {
	return syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// lock blocks a thread until the lock is granted.
func (l *lockFile) lock() error {
	for {
		err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *lockFile) unlock() { _ = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN) }
func (l *lockFile) close()  { _ = l.f.Close() } // which unlocks

// numbers are those of the device.
func (id fileID) numbers() (major, minor uint32) { return unix.Major(id.device), unix.Minor(id.device) }
