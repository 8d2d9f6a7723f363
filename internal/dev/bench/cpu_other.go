//go:build !unix

package bench

import "time"

var start = time.Now()

// processorTime is the time that passed, where there is no simple way to know more.
func processorTime() time.Duration { return time.Since(start) }

// waits is not known.
func waits() int64 { return 0 }
