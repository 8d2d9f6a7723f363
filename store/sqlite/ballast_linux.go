package sqlite

import (
	"errors"
	"os"
	"syscall"
)

func allocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// freeSpace is how many bytes this user may still write to the file system of dir.
func freeSpace(dir string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * stat.Bsize, nil //nolint:gosec // no disk has 2^63 bytes
}

// occupied is how many bytes of the disk the file takes up, which may be fewer than it is long.
func occupied(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return 0
}
