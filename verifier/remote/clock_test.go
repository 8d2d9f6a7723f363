package remote_test

import (
	"time"
	"unsafe"
)

// addWall moves only the wall clock of t, as if the computer had slept.
func addWall(t time.Time, by time.Duration) time.Time {
	moved := t.Add(by)
	// Both readings moved; the monotonic one is put back.
	(*[3]uint64)(unsafe.Pointer(&moved))[1] = (*[3]uint64)(unsafe.Pointer(&t))[1]
	return moved
}
