//go:build !unix

package listening

import "syscall"

func private(syscall.RawConn) error { return nil }

func closeOnExec(int) {}
