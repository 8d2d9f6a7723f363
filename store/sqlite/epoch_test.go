package sqlite_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func openVerifier(t testing.TB, path string) *sqlite.Reader {
	t.Helper()
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatalf("OpenVerifier: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func mustRevoke(t testing.TB, s store.Store, id string) {
	t.Helper()
	if _, err := manager(t, s).Revoke(t.Context(), id, "test"); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

func mustRename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// Another process changes keys. As soon as it says so this process's epoch has moved,
// and it has not moved for any change that cannot be read yet.
func TestEpochOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := create(t)
	r := openVerifier(t, path)
	cmd := child(t, "write", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for scan := bufio.NewScanner(out); scan.Scan(); lines++ {
		now := r.Epoch()
		if sqlite.ChangeOf(now) < int64(lines+1) {
			t.Errorf("%s: the epoch tells of change %d, want %d at least", scan.Text(), sqlite.ChangeOf(now), lines+1)
		}
		if c := mustChanges(t, r, feed.Position{}); c.Next.Seq < sqlite.ChangeOf(now) {
			t.Errorf("%s: the epoch tells of change %d, and %d can be read", scan.Text(), sqlite.ChangeOf(now), c.Next.Seq)
		}
	}
	if err := cmd.Wait(); err != nil || lines != 2*childRounds {
		t.Fatalf("the other process: %d lines, %v", lines, err)
	}
}

// What was refused and changed nothing leaves the epoch alone, so that a client who
// sends nonsense to an administrator's program does not make every server look. A
// store may do otherwise.
func TestEpochStandsStill(t *testing.T) {
	s := open(t, create(t))
	issue(t, s, admin.IssueRequest{Name: "ci"})
	before := s.Epoch()
	if _, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "ci"}); err == nil {
		t.Error("Issue: a taken name was not refused")
	}
	if _, err := manager(t, s).Revoke(t.Context(), "unknown00000", ""); err == nil {
		t.Error("Revoke of an unknown id was not refused")
	}
	if now := s.Epoch(); now != before {
		t.Errorf("Epoch: got %d, want %d as before", now, before)
	}
}

// Without the file nothing is accepted and nothing is changed, because no other process
// could be told. Keys can be listed, and Mend makes the file.
func TestEpochFileMissing(t *testing.T) {
	t.Parallel()
	path := create(t)
	s, r := open(t, path), openVerifier(t, path)
	key := issue(t, s, admin.IssueRequest{Name: "ci"}).Key
	before := mustChanges(t, r, feed.Position{}).Next
	remove(t, path+"-epoch")
	for what, f := range map[string]feed.Feed{"open before": r, "open afterwards": openVerifier(t, path), "a store": s} {
		if _, err := f.Changes(t.Context(), feed.Position{}); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "doctor --fix") {
			t.Errorf("Changes, %s: got %v, want unavailable and what to do", what, err)
		}
	}
	if a, b := r.Epoch(), r.Epoch(); a >= b {
		t.Errorf("Epoch: got %d and then %d, want more each time", a, b)
	}
	for what, store := range map[string]*sqlite.Store{"open before": s, "open afterwards": open(t, path)} {
		if _, err := manager(t, store).Revoke(t.Context(), key.ID, "x"); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "doctor --fix") {
			t.Errorf("Revoke, %s: got %v, want unavailable and what to do", what, err)
		}
	}
	if page, err := s.List(t.Context(), keys.Query{Unrevoked: true}); err != nil || len(page.Keys) != 1 {
		t.Errorf("List: got %v, %v, want the key, not revoked", page, err)
	}
	if _, err := os.Stat(path + "-epoch"); err == nil {
		t.Error("the file was made")
	}
	mustMend(t, path)
	if c := mustChanges(t, r, before); !c.Lost {
		t.Errorf("Changes after Mend: got %+v, want Lost", c)
	}
	seen := r.Epoch()
	mustRevoke(t, s, key.ID)
	if r.Epoch() == seen {
		t.Error("Epoch: a change after Mend did not move it")
	}
}

func mustMend(t testing.TB, path string) {
	t.Helper()
	if mended, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now()); err != nil || !mended {
		t.Fatalf("Mend: got %v, %v", mended, err)
	}
}

// A copy of the file, put in its place, has the right id, and may be older than the file
// that servers map. It is refused until Mend, which waits for those servers; they share the
// copy then.
func TestEpochFileCopied(t *testing.T) {
	t.Parallel()
	path := create(t)
	s, r := open(t, path), openVerifier(t, path)
	key, second := issue(t, s, admin.IssueRequest{Name: "ci"}).Key, issue(t, s, admin.IssueRequest{Name: "two"}).Key
	seq, before := mustChanges(t, r, feed.Position{}).Next, r.Epoch()
	replaceByCopy(t, path+"-epoch")
	if _, err := r.Changes(t.Context(), seq); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "is a copy") {
		t.Errorf("Changes: got %v, want unavailable and why", err)
	}
	refusesAll(t, path, key.ID, "doctor --fix")
	start := time.Now()
	mustMend(t, path)
	if took := time.Since(start); took < r.Bounds().Lease {
		t.Errorf("Mend of a copied epoch file: returned after %v, want %v at least", took, r.Bounds().Lease)
	}
	mustRevoke(t, open(t, path), key.ID)
	if c := mustChanges(t, r, seq); !c.Lost {
		t.Errorf("Changes after the file was replaced: got %+v, want Lost", c)
	}
	if now := r.Epoch(); now <= before {
		t.Errorf("Epoch: got %d, want more than %d, though another file is mapped", now, before)
	}
	before = r.Epoch()
	mustRevoke(t, s, second.ID)
	if r.Epoch() == before {
		t.Error("the server does not share the new file")
	}
}

// What is not an epoch file is named, with what to do, and is not touched.
func TestEpochFileForeign(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"cut short":      func(t *testing.T, path string) { truncate(t, path, 100) },
		"another kind":   func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 4096)) },
		"a directory":    func(t *testing.T, path string) { remove(t, path); mkdir(t, path) },
		"a named pipe":   func(t *testing.T, path string) { remove(t, path); mkfifo(t, path) },
		"a regular file": func(t *testing.T, path string) { write(t, path, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for a lease
			path := create(t)
			r := openVerifier(t, path)
			epoch := path + "-epoch"
			spoil(t, epoch)
			r.Epoch() // a page that was cut short is a fault, and not the end of the process
			if _, err := r.Changes(t.Context(), feed.Position{}); !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("Changes of who had it open: got %v, want unavailable", err)
			}
			_, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now())
			if info, gone := os.Lstat(epoch); gone == nil && !info.Mode().IsRegular() {
				if err == nil || !strings.Contains(err.Error(), "move it away") {
					t.Errorf("Mend: got %v, want what to do", err)
				}
				remove(t, epoch)
				mustMend(t, path)
			} else if err != nil {
				t.Fatal(err)
			}
			mustChanges(t, r, feed.Position{})
		})
	}
}

func mkfifo(t testing.TB, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The file is cut short under those who map it, as a careless copy over the directory
// does. They refuse and say why, rather than die.
func TestEpochFileCutShort(t *testing.T) {
	path := create(t)
	s := open(t, path)
	truncate(t, path+"-epoch", 0)
	if a, b := s.Epoch(), s.Epoch(); a >= b {
		t.Errorf("Epoch: got %d and then %d, want more each time", a, b)
	}
	_, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "ci"})
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("Issue: got %v, want unavailable and why", err)
	}
}

// The database is replaced by renaming another into its place. Readers go on with
// that one and forget everything; a writer must not write to the one that is gone.
func TestDatabaseRenamedOver(t *testing.T) {
	path := create(t)
	s := open(t, path)
	old := issue(t, s, admin.IssueRequest{Name: "old"}).Key
	r := openVerifier(t, path)
	seq := mustChanges(t, r, feed.Position{}).Next

	replacement := filepath.Join(filepath.Dir(path), "new.db")
	if err := sqlite.Create(replacement, &sqlite.Options{PepperFile: path + ".pepper", SameStore: true}); err != nil {
		t.Fatal(err)
	}
	mustRename(t, path, path+"-gone")
	if _, err := r.Changes(t.Context(), seq); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Changes while there is no database: got %v, want unavailable", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		remove(t, path+suffix)
	}
	mustRename(t, replacement, path)
	if _, err := r.Changes(t.Context(), seq); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Changes of a database that is not of this epoch file: got %v, want unavailable", err)
	}
	mustMend(t, path)
	if c := mustChanges(t, r, seq); !c.Lost {
		t.Errorf("Changes: got %+v, want Lost", c)
	}
	mustChanges(t, s, seq) // its reader continues, its writer does not
	if _, err := r.Key(t.Context(), old.ID); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Key of the old database: got %v, want not found", err)
	}
	if _, err := manager(t, s).Revoke(t.Context(), old.ID, "leaked"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Revoke in the old database: got %v, want unavailable: it would be lost", err)
	}
	before := r.Epoch()
	issue(t, open(t, path), admin.IssueRequest{Name: "new"})
	if r.Epoch() == before {
		t.Error("Epoch: a change in the new database did not move it")
	}
}

// A process that opens the database through a link shares the epoch with the others.
func TestEpochThroughALink(t *testing.T) {
	path := create(t)
	r := openVerifier(t, path)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	before := r.Epoch()
	issue(t, open(t, link), admin.IssueRequest{Name: "ci"})
	if r.Epoch() == before {
		t.Error("Epoch: a change through a link did not move it")
	}
	if left, _ := filepath.Glob(filepath.Dir(link) + "/*"); len(left) != 1 {
		t.Errorf("beside the link: got %q, want nothing but the link", left)
	}
}

// A closed store makes every check look, and the look fails.
func TestEpochAfterClose(t *testing.T) {
	s := open(t, create(t))
	before := s.Epoch()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Epoch() == before {
		t.Error("Epoch: stands still after Close")
	}
	if _, err := s.Changes(t.Context(), feed.Position{}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Changes after Close: got %v, want unavailable", err)
	}
}

func BenchmarkEpoch(b *testing.B) {
	s := open(b, create(b))
	for b.Loop() {
		s.Epoch()
	}
}
