//go:build unix

package filemode

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// ownGroup reports whether the process is in the file's group.
func ownGroup(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	groups, err := os.Getgroups()
	return int(stat.Gid) == os.Getegid() || err == nil && slices.Contains(groups, int(stat.Gid))
}
