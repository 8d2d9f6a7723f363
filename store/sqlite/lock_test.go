package sqlite_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// holdLock takes the lock of writers, as another process would, until it is freed.
func holdLock(t testing.TB, path string) (free func()) {
	t.Helper()
	f, err := os.Open(path + "-lock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// Who has the lock and does not free it is named, because only a person can end it. The
// next change comes through when the lock is free, however many gave up before.
func TestChangeNamesWhoHasTheLock(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	s.SetPatience(10 * time.Millisecond)
	free := holdLock(t, path)
	for range 3 {
		_, err := manager(t, s).Revoke(t.Context(), id, "test")
		var busy *sqlite.BusyError
		if !errors.As(err, &busy) || !errors.Is(err, keys.ErrUnavailable) {
			t.Fatalf("Revoke: got %v, want a BusyError", err)
		}
		if busy.Holder.PID != os.Getpid() || busy.Holder.Command == "" || busy.OutOfTurn {
			t.Errorf("Revoke: got holder %+v, want process %d with its command", busy, os.Getpid())
		}
	}
	free()
	s.SetPatience(time.Minute)
	mustRevoke(t, s, id)
}

// A database shell takes no turns, and is named too.
func TestChangeNamesADatabaseShell(t *testing.T) {
	path := create(t)
	s := open(t, path)
	mustExec(t, s.Writer(), `PRAGMA busy_timeout = 10`)
	db := shell(t, path)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	_, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "ci"})
	var busy *sqlite.BusyError
	if !errors.As(err, &busy) || !busy.OutOfTurn || !strings.Contains(err.Error(), "outside mcpkeys") {
		t.Fatalf("Issue: got %v, want a BusyError about another program", err)
	}
	if busy.Holder.PID != os.Getpid() { // a lock of one's own process is shown like any
		t.Errorf("Issue: got holder %+v, want process %d", busy.Holder, os.Getpid())
	}
	mustExec(t, db, `ROLLBACK`)
	issue(t, s, admin.IssueRequest{Name: "ci"})
}

// What is not known is not said: another mcpkeys has locked the database, and this one could
// not take its turn either, because the lock's file cannot be opened.
func TestChangeWithoutTurnBlamesNoShell(t *testing.T) {
	path := create(t)
	s := open(t, path)
	mustExec(t, s.Writer(), `PRAGMA busy_timeout = 10`)
	remove(t, path+"-lock")
	mkdir(t, path+"-lock")
	db := shell(t, path)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	_, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "ci"})
	var busy *sqlite.BusyError
	if !errors.As(err, &busy) || busy.OutOfTurn || strings.Contains(err.Error(), "shell") {
		t.Errorf("Issue: got %v, want a BusyError that blames no shell", err)
	}
	mustExec(t, db, `ROLLBACK`)
}

// A file of the same inode number on another device is another file.
func TestHolderIsOfTheSameDevice(t *testing.T) {
	path := create(t)
	holdLock(t, path)
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	if pid := sqlite.HolderIn(t, locks, path+"-lock", 0); pid != os.Getpid() {
		t.Errorf("the lock's holder: got %d, want %d", pid, os.Getpid())
	}
	if pid := sqlite.HolderIn(t, locks, path+"-lock", 1); pid != 0 {
		t.Errorf("the holder of a file on another device: got %d, want none", pid)
	}
}

// The lock is about fairness alone: whatever becomes of its file, keys are changed.
func TestChangesDoNotNeedTheLockFile(t *testing.T) {
	path := create(t)
	s := open(t, path)
	for what, spoil := range map[string]func(){
		"missing":  func() {},
		"replaced": func() { write(t, path+"-lock", "") },
		"a folder": func() { mkdir(t, path+"-lock") },
		"a link":   func() { _ = os.Symlink("/nowhere/at/all", path+"-lock") },
	} {
		_ = os.Remove(path + "-lock")
		spoil()
		issue(t, s, admin.IssueRequest{Name: what})
		issue(t, open(t, path), admin.IssueRequest{Name: what + " again"})
	}
	remove(t, path+"-lock")
	issue(t, s, admin.IssueRequest{Name: "the last"})
	if info, err := os.Lstat(path + "-lock"); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock file: got %v, %v, want it made again, 0600", info, err)
	}
}
