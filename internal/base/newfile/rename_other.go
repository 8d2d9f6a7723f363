//go:build !linux

package newfile

func renameNew(temp, path string) error { return linkNew(temp, path) }
