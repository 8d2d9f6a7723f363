package sqlite

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// ballastSize is many times what a revocation needs at most, in bytes.
const ballastSize = 8 << 20

// restockAt is how much must be free before a released ballast is created again, in bytes:
// on a nearly full disk it would take the space that people just freed.
const restockAt = 8 * ballastSize

// ballastPath is a file that only reserves disk space. A revocation that finds the disk full
// deletes it and tries again, because a revocation must not wait until space is freed.
func ballastPath(path string) string { return path + ".ballast" }

// makeBallast reserves the place. A file that is there stays, and the error is
// [fs.ErrExist].
func makeBallast(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	f, err := newfile.Temp(filepath.Dir(path), "mcpkeys-ballast-*.tmp")
	if err != nil {
		return err
	}
	if err := errors.Join(reserve(f), f.Close()); err != nil {
		_ = os.Remove(f.Name()) // incomplete, so useless
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("the disk is full; free space on it (mcpkeys reserves %d MiB, so that keys can be revoked even then): %w", ballastSize>>20, err)
		}
		return fmt.Errorf("reserve %d MiB on the disk: %w", ballastSize>>20, err)
	}
	return newfile.Publish(f.Name(), path)
}

// reserve takes blocks for f. A file system that cannot give them out unwritten gets
// random bytes, which none can make smaller by compressing them.
func reserve(f *os.File) error {
	err := allocate(f, ballastSize)
	if errors.Is(err, errors.ErrUnsupported) {
		_, err = io.CopyN(f, rand.Reader, ballastSize)
	}
	return err
}

// dropBallast frees the space. If the file is missing, trying again is still right: another
// process may have just deleted it.
func (s *Store) dropBallast() { _ = os.Remove(ballastPath(s.path)) }

// restock creates the ballast again when there is room for it. Without room nothing fails;
// doctor reports it.
func (s *Store) restock() {
	path := ballastPath(s.path)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if free, err := freeSpace(filepath.Dir(path)); err == nil && free >= restockAt {
		_ = makeBallast(path) // see above
	}
}

// urgently runs write and, if the disk is full and it was a revocation, again without the
// ballast. Only a second failure is returned.
func (s *Store) urgently(revokes *bool, write func() error) error {
	err := write()
	if !full(err) || !*revokes {
		return err
	}
	s.dropBallast()
	if err = write(); full(err) {
		return fmt.Errorf("%w: the disk is full, and freeing the reserve was not enough: the revocation is not durable and the key is still valid; free space on the disk, and revoke it again", keys.ErrUnavailable)
	}
	return err
}

// full reports whether there was no room: for the database and its log, or for the
// memory that its users share.
func full(err error) bool {
	basic, extended := codes(err)
	return basic == codeFull || extended == codeNoRoomToShare
}
