package sqlite_test

import (
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// TestOlderEpochFileIsCopiedBack: an administrator copies the epoch file, keys are issued,
// and the copy is put back into the file. The revocation that follows moves the counter from
// its old state. It must not move it to the number at which a guard made its last look, or
// the guard accepts the key for a quarter of a second more.
func TestOlderEpochFileIsCopiedBack(t *testing.T) {
	for _, names := range [][]string{{}, {"a"}, {"a", "b"}, {"a", "b", "c"}} {
		w := newWorld(t)
		file := w.path + "-epoch"
		old := read(t, file)
		for _, name := range names {
			if got := w.admin.ask("issue " + name); got != "done" {
				t.Fatalf("issue: %s", got)
			}
		}
		if code := w.check(); code != "valid" {
			t.Fatalf("the guard: %s", code)
		}
		overwrite(t, file, old)
		if got := w.admin.ask("revoke " + w.key.Key.ID); got != "done" {
			t.Fatalf("revoke: %s", got)
		}
		if code := w.check(); strings.HasPrefix(code, "valid") {
			t.Errorf("after %d changes, the guard, after an acknowledged revocation: %s", len(names), code)
		}
	}
}

// TestCounterNeverComesBack tells the same of each number: whatever state of the file is
// copied back, a change moves the counter above all numbers that it had.
func TestCounterNeverComesBack(t *testing.T) {
	path := create(t)
	s, r := open(t, path), openVerifier(t, path)
	states := [][]byte{read(t, path+"-epoch")}
	last := r.Epoch()
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		for _, state := range states {
			overwrite(t, path+"-epoch", state)
			key := issue(t, s, keys.IssueRequest{Name: name}).Key
			if now := r.Epoch(); now <= last {
				t.Fatalf("Epoch: got %d after a change, and it was %d", now, last)
			}
			last = r.Epoch()
			mustRevoke(t, s, key.ID)
			mustRevoke(t, s, key.ID) // tells again
			last = max(last, r.Epoch())
		}
		states = append(states, read(t, path+"-epoch"))
	}
	remove(t, path+"-epoch")
	mustMend(t, path)
	if c, err := sqlite.OpenVerifier(path, nil); err != nil || sqlite.ChangeOf(c.Epoch()) <= sqlite.ChangeOf(last) {
		t.Errorf("after Mend: %v, or the counter is not above all that it was", err)
	}
}
