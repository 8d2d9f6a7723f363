//go:build !unix

package doctor

import "io/fs"

// foreign is not known here.
func foreign(fs.FileInfo) bool { return false }
