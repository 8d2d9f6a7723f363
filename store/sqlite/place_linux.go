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

// bornAt is when a file was made, in nanoseconds. An inode number is used again when its
// file is gone; the two together are not. It is 0 where the file system does not tell.
func bornAt(f *os.File) uint64 {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return uint64(st.Btime.Sec)*1e9 + uint64(st.Btime.Nsec) //nolint:gosec // no file is older than the clock's zero
}

const (
	overlayFS = 0x794c7630
	fatFS     = 0x4d44
	exfatFS   = 0x2011bab0
)

// layered reports whether path is on an overlay file system, where a file that was opened
// for reading stays the lower one when another process opens it for writing.
func layered(path string) bool { return fileSystemOf(path) == overlayFS }

// renumbers reports whether path is on a file system that gives a file another inode
// number when it is mounted again: an overlay does so with a file that it brought up, and
// FAT has no such numbers.
func renumbers(path string) bool {
	switch fileSystemOf(path) {
	case overlayFS, fatFS, exfatFS:
		return true
	}
	return false
}

// fileSystemOf is the kernel's number of a file system, 0 if it does not tell.
func fileSystemOf(path string) uint32 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0
	}
	return uint32(stat.Type) //nolint:gosec // the kernel's numbers have 32 bits
}
