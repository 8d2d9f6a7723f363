//go:build !cgo

package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// CGO_ENABLED=0 go test -run TestWithoutCgo ./store/sqlite
func TestWithoutCgo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	_, err1 := sqlite.Open(path, nil)
	_, err2 := sqlite.OpenVerifier(path, nil)
	for _, err := range []error{sqlite.Create(path, nil), err1, err2} {
		if err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
			t.Errorf("got %v, want the sentence that helps", err)
		}
	}
}
