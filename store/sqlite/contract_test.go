package sqlite_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Open {
		path := create(t)
		return func(t testing.TB, now func() time.Time) store.Store {
			s, err := sqlite.Open(path, &sqlite.Options{Now: now})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		}
	})
}
