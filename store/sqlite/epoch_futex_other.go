//go:build !linux

package sqlite

import "time"

// sleep reports that the system cannot wait for the memory of a page.
func (*page) sleep(uint32, time.Duration) bool { return false }

func (*page) wake() {}
