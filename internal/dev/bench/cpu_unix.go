//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processorTime is what this process has used of all processors, without its children.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for wrong arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// waits is how often threads of this process gave their processor up because there was nothing to
// do: voluntary context switches.
func waits() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return int64(u.Nvcsw) //nolint:unconvert // another type on some systems
}
