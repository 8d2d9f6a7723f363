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

// ballastSize is what a revocation may need at the worst many times over, in bytes.
const ballastSize = 8 << 20

// restockAt is how much must be free before a ballast that was given up is made anew, in
// bytes: on a disk that is nearly full it would take the place of what people clear
// away files for.
const restockAt = 8 * ballastSize

// ballastPath is the file that holds nothing but its place on the disk. A revocation
// that finds the disk full gives it up and tries again: the one change that must not
// have to wait until somebody has cleared up.
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
		_ = os.Remove(f.Name()) // it is no use as it is
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

// dropBallast gives the place free. That there is none any more is no reason not to
// try again: another process may have given it up this moment.
func (s *Store) dropBallast() { _ = os.Remove(ballastPath(s.path)) }

// restock makes the ballast anew once there is room for it. That there is none stops
// nothing; doctor tells.
func (s *Store) restock() {
	path := ballastPath(s.path)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if free, err := freeSpace(filepath.Dir(path)); err == nil && free >= restockAt {
		_ = makeBallast(path) // see above
	}
}

// urgently runs write and, when the disk is full and it was a revocation, once more
// without the ballast. Only then is it said that nothing could be kept.
func (s *Store) urgently(revokes *bool, write func() error) error {
	err := write()
	if !full(err) || !*revokes {
		return err
	}
	s.dropBallast()
	if err = write(); full(err) {
		return fmt.Errorf("%w: the disk is full, and freeing the reserve was not enough: the key is not revoked; free space on the disk, and revoke it again", keys.ErrUnavailable)
	}
	return err
}

// full reports whether there was no room: for the database and its log, or for the
// memory that its users share.
func full(err error) bool {
	basic, extended := codes(err)
	return basic == codeFull || extended == codeNoRoomToShare
}
