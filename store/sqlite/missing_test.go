package sqlite_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// putBack closes the key store and puts an older database in its place, without the log
// and the shared memory.
func (h *history) putBack(t *testing.T, older string) {
	t.Helper()
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, h.path, older)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(h.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// lost is a history whose key was revoked, and whose database was then replaced by an older
// one that does not know it.
func lost(t *testing.T) *history {
	t.Helper()
	h := newHistory(t, "ci")
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	older := string(read(t, h.path))
	h.store = open(t, h.path)
	h.revoke(t, "ci", "leaked")
	h.issue(t, "n1")
	h.putBack(t, older)
	return h
}

// The attack: a key is revoked, and then an older file is copied over the database. A
// restore finds nothing changed since the backup, and the revoked key is good again. It
// must say how many acknowledged changes are missing, before and in the audit log; and that
// this cannot be told where the epoch file does not tell.
func TestRestoreOverADatabaseThatLacksChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		page    func(t *testing.T, path string)
		changes uint64
		detail  string
	}{
		{"behind its page", func(*testing.T, string) {}, 3, `"missing_changes":3`},
		{"without a page", func(t *testing.T, path string) { remove(t, path+"-epoch") }, 0, `"missing_changes":null`},
		{"with another store's page", func(t *testing.T, path string) { mustRename(t, create(t)+"-epoch", path+"-epoch") }, 0, `"missing_changes":null`},
		{"with a zeroed page", func(t *testing.T, path string) { zeroID(t, path) }, 0, `"missing_changes":null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := lost(t)
			c.page(t, h.path)
			p := h.prepare(t)
			if m := p.Missing; m.Changes != c.changes || (m.Unknown == nil) != (c.changes > 0) || m.None() {
				t.Errorf("Missing: got %+v, want %d changes", m, c.changes)
			}
			_ = p.Close()
			h.restore(t, sqlite.RestoreOptions{})
			h.store = open(t, h.path)
			events := wholeChain(t, h.store.Reader)
			if e := events[len(events)-1]; e.Action != audit.ActionRestore || !strings.Contains(e.Detail, c.detail) {
				t.Errorf("the log: got %s %s, want %s", e.Action, e.Detail, c.detail)
			}
			if p := h.prepare(t); !p.Missing.None() {
				t.Errorf("Missing after the restore: got %+v, want none", p.Missing)
			}
		})
	}
}

// zeroID takes the id out of an epoch page, as a restore does that is killed.
func zeroID(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path+"-epoch", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(make([]byte, 16), 64); err != nil {
		t.Fatal(err)
	}
}

// A sound key store lacks nothing, and neither the question nor the audit log says so.
func TestRestoreOverADatabaseThatLacksNothing(t *testing.T) {
	h := newHistory(t, "ci")
	p := h.prepare(t)
	if !p.Missing.None() {
		t.Errorf("Missing: got %+v, want none", p.Missing)
	}
	_ = p.Close()
	h.restore(t, sqlite.RestoreOptions{})
	events := wholeChain(t, h.store.Reader)
	if e := events[len(events)-1]; !strings.Contains(e.Detail, `"missing_changes":0`) {
		t.Errorf("the log: got %s, want no change missing", e.Detail)
	}
}

// Between the question and the answer an older file is copied over the database. The
// answer was given to another question.
func TestRestoreAfterChangesWereLostMeanwhile(t *testing.T) {
	h := newHistory(t, "ci")
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	older := string(read(t, h.path))
	h.store = open(t, h.path)
	h.revoke(t, "ci", "leaked")
	p := h.prepare(t)
	h.putBack(t, older)
	if _, err := p.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"}); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Run: got %v, want a conflict", err)
	}
	_ = p.Close()
	h.restore(t, sqlite.RestoreOptions{})
}
