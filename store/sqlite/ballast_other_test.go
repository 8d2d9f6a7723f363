//go:build !linux

package sqlite_test

import "errors"

func fullDiskRole(string) error { return errors.New("a small disk is made on Linux only") }
