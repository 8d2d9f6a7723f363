package sqlite_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Open {
		path := create(t)
		return func(t testing.TB) keys.Store { return open(t, path) }
	})
}
