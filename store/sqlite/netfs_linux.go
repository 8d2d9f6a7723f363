package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// refuseNetwork asks the kernel what path is on.
func refuseNetwork(path string) error {
	var stat syscall.Statfs_t
	err := syscall.Statfs(path, &stat)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s; make it first: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	return judgeFS(path, uint32(stat.Type)) //nolint:gosec // the kernel's numbers have 32 bits
}
