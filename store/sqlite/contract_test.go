package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Open {
		path := create(t)
		return func(t testing.TB) keys.Store { return open(t, path) }
	})
}

// create makes an empty key store and returns its path.
func create(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return path
}

// open opens it until the test ends.
func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
