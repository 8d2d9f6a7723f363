package main

import (
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// If one key cannot be revoked, the others are revoked, and the exit code says so.
func TestFreeAllGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, err := admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: "there"})
	if err != nil {
		t.Fatal(err)
	}
	gone := &keys.Key{ID: "000000000000", Name: "gone"}
	done, err := freeAll(t.Context(), m, []*keys.Key{gone, issued.Key}, s.Peppers().Current())
	if outcomeOf(err).exit != exitPartial || len(done.revoked) != 1 || done.revoked[0].RevokedReason == "" {
		t.Errorf("freeAll: got %+v, %v, want one revoked and exit %d", done, err, exitPartial)
	}
}
