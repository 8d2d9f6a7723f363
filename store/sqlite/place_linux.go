package sqlite

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// see asks the kernel, which since Linux 5.8 tells mount points too.
func see(path string) (sight, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
	if errors.Is(err, unix.ENOSYS) {
		return seeBy(os.Lstat(path))
	}
	if err != nil {
		return sight{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return sight{
		id:      fileID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino},
		links:   uint64(st.Nlink),
		mounted: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}, nil
}

const overlayFS = 0x794c7630

// layered reports whether path is on an overlay file system, where a file that was opened
// for reading stays the one below when somebody else opens it for writing.
func layered(path string) bool {
	var stat syscall.Statfs_t
	return syscall.Statfs(path, &stat) == nil && uint32(stat.Type) == overlayFS //nolint:gosec // the kernel's numbers have 32 bits
}
