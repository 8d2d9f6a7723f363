//go:build unix

package doctor

import (
	"io/fs"
	"os"
	"syscall"
)

// foreign reports whether the file is somebody else's. Root may open any.
func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Uid) != int64(os.Geteuid())
}
