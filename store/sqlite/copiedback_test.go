package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// TestOlderEpochFileIsCopiedBack: an administrator copies the epoch file, keys are issued,
// and the copy is put back into the file. The revocation that follows moves the counter from
// its old state. It must not move it to the number at which a guard made its last look, or
// the guard accepts the key for a quarter of a second more.
func TestOlderEpochFileIsCopiedBack(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	path := create(t)
	s, r := open(t, path), openVerifier(t, path)
	states := [][]byte{read(t, path+"-epoch")}
	last := r.Epoch()
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		for _, state := range states {
			overwrite(t, path+"-epoch", state)
			key := issue(t, s, admin.IssueRequest{Name: name}).Key
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

// copiedBack is a world whose files were copied, as "cp -a" does, and copied back into their
// places after three keys were issued, of which the guard has read.
func copiedBack(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.admin.end()
	copies := t.TempDir()
	files, err := filepath.Glob(filepath.Join(w.dir, "keys.db*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("the files of the key store: %q, %v", files, err)
	}
	run(t, "cp", append(append([]string{"-a"}, files...), copies)...)
	w.issue(t, "n1", "n2", "n3")
	if code := w.check(); code != "valid" {
		t.Fatalf("the guard: %s", code)
	}
	run(t, "cp", "-a", copies+"/.", w.dir)
	return w
}

// issue has a process of its own issue each key, as keyctl does.
func (w *world) issue(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if got := once(t, w.path, "issue "+name); got != "done" {
			t.Fatalf("issue %s: %s", name, got)
		}
	}
}

// TestFilesAreCopiedBackUnderAGuard: the files of a key store are copied back into their
// places while a guard runs. The copies look like the originals: same inodes, a page that
// matches. A key is revoked, and other changes get the numbers that the guard has read. The
// guard must not confuse them with those it knows, with or without a check in between.
func TestFilesAreCopiedBackUnderAGuard(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]bool{"quiet": false, "asked in between": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := copiedBack(t)
			ask := func(after string) {
				if !asks {
					return
				}
				if code := w.check(); strings.HasPrefix(code, "valid") {
					t.Errorf("the guard, %s: %s", after, code)
				}
			}
			ask("after the copy")
			if got := w.revoke(t, w.path); got != "done" {
				t.Fatalf("revoke: %s", got)
			}
			for _, name := range []string{"n4", "n5", "n6", "n7"} {
				ask("after an acknowledged revocation")
				w.issue(t, name)
			}
			for range 3 {
				if code := w.check(); code != "revoked" {
					t.Errorf("the guard, past the numbers that it knew: got %s, want revoked", code)
				}
			}
		})
	}
}

// The guard's advice works after a store was put back: a program that is started again uses
// the store as it is, and after a restore the guard itself continues.
func TestGuardSaysWhatHelpsWhereFilesWereCopiedBack(t *testing.T) {
	t.Parallel()
	w := copiedBack(t)
	code := w.check()
	for _, want := range []string{"unavailable", "'keyctl restore' with a backup", "start this program again"} {
		if !strings.Contains(code, want) {
			t.Errorf("the guard: got %q, want it to say %q", code, want)
		}
	}
	if strings.Contains(code, "doctor --fix") {
		t.Errorf("the guard: got %q, and doctor --fix has nothing to mend", code)
	}
	again := start(t, "guard", w.path)
	if code := again.ask("check " + w.key.Token.Reveal()); code != "valid" {
		t.Errorf("a guard that was started again: %s", code)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	inStore(t, w.path, func(s *sqlite.Store) {
		if _, err := s.Backup(t.Context(), backup, nil); err != nil {
			t.Fatal(err)
		}
	})
	r, err := sqlite.PrepareRestore(t.Context(), w.path, backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if code := w.check(); code != "valid" {
		t.Errorf("the guard that was not started again, after a restore: %s", code)
	}
}
