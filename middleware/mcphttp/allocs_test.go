//go:build !race

package mcphttp_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// A guard adds few allocations to a call. Under the race detector pools keep less, so that more is
// allocated.
func TestAllocationsOfAGuardedCall(t *testing.T) {
	for _, version := range eras {
		plain, guarded := pair(t, version)
		guardtest.AddsAtMost(t, 56, version, plain, guarded)
	}
}
