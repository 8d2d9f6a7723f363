package newfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames temp to path, which must not exist.
func renameNew(temp, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	for _, unsupported := range []error{unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP, unix.EPERM} {
		if errors.Is(err, unsupported) {
			return linkNew(temp, path)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: temp, New: path, Err: err}
	}
	return nil
}
