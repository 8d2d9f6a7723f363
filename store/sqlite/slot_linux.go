package sqlite

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// canHold: servers can hold slots.
const canHold = true

// tryByte locks the byte of a slot. The lock belongs to this opening of the file (an OFD
// lock), so that a server and a change in one process keep each other out too, and the kernel
// frees it when the process ends.
func (l *lockFile) tryByte(i int) (locked bool, err error) {
	err = l.setByte(i, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (l *lockFile) freeByte(i int) { _ = l.setByte(i, unix.F_UNLCK) }

func (l *lockFile) setByte(i int, kind int16) error {
	lock := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: int64(i), Len: 1}
	for {
		err := unix.FcntlFlock(l.f.Fd(), unix.F_OFD_SETLK, &lock)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// heldByte reports whether another opening has locked the byte. The system does not tell
// which process has it.
func (l *lockFile) heldByte(i int) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(i), Len: 1}
	err := unix.FcntlFlock(l.f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK
}

// readSlots opens the file of locks for reading only.
func readSlots(database string) (*lockFile, error) {
	f, err := os.OpenFile(slotsPath(database), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return &lockFile{f: f}, nil
}

func (l *lockFile) writeAt(text []byte, at int64) error {
	_, err := l.f.WriteAt(text, at)
	return err
}

// readAt returns how much could be read.
func (l *lockFile) readAt(text []byte, at int64) int {
	n, _ := l.f.ReadAt(text, at)
	return n
}
