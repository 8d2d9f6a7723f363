//go:build !unix

package filemode

import "io/fs"

func ownGroup(fs.FileInfo) bool { return false }
