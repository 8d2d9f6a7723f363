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
