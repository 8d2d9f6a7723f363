//go:build !race

package mcpauth_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// A guard adds few allocations to a call. Under the race detector pools keep less, so that more is
// allocated.
func TestAllocationsOfAGuardedCall(t *testing.T) {
	const most = 32
	for _, version := range eras {
		plain, guarded := pair(t, version)
		without, with := guardtest.UsualAllocations(plain), guardtest.UsualAllocations(guarded)
		if added := with - without; added > most {
			t.Errorf("%s: a call allocates %v times without a guard and %v times with one: %v more, want at most %v", version, without, with, added, most)
		}
	}
}
