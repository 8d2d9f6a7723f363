package mcpauth_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// A guard adds few allocations to a call.
func TestAllocationsOfAGuardedCall(t *testing.T) {
	const most = 32
	for _, version := range eras {
		plain, guarded := pair(t, version)
		without, with := guardtest.LeastAllocations(plain), guardtest.LeastAllocations(guarded)
		if added := with - without; added > most {
			t.Errorf("%s: a call allocates %v times without a guard and %v times with one: %v more, want at most %v", version, without, with, added, most)
		}
	}
}
