//go:build !unix

package bench

import "time"

var start = time.Now()

// processorTime is the time that passed, where there is no simple way to know more.
func processorTime() time.Duration { return time.Since(start) }
