package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// swell makes the database some eight megabytes bigger, so that copying takes several
// steps: with old rows of the feed, which are never read.
func swell(t testing.TB, path string) {
	t.Helper()
	mustExec(t, shell(t, path), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
		INSERT INTO events (seq, id, key_id, kind) SELECT -i, randomblob(16), zeroblob(12), hex(zeroblob(60)) FROM n`)
}

func backUp(t testing.TB, r *sqlite.Reader, path string) sqlite.Snapshot {
	t.Helper()
	s, err := r.Backup(t.Context(), path, nil)
	if err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return s
}

// A backup is the key store of one moment, whatever is written during it, and no writer waits
// for it.
func TestBackupIsOneMoment(t *testing.T) {
	t.Parallel()
	path := create(t)
	swell(t, path)
	s := open(t, path)
	for i := range 3 {
		issue(t, s, admin.IssueRequest{Name: "before " + strconv.Itoa(i)})
	}
	target := filepath.Join(t.TempDir(), "backup.db")
	during := 0
	got, err := s.Backup(t.Context(), target, func(done, total int) {
		if done < total {
			issue(t, s, admin.IssueRequest{Name: "during " + strconv.Itoa(during)})
			during++
		}
	})
	if err != nil || during == 0 {
		t.Fatalf("Backup with %d changes meanwhile: %v", during, err)
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != got.Size {
		t.Errorf("the file: got %v, %v, want 0600 and %d bytes", info, err, got.Size)
	}
	if left := names(snapshot(t, filepath.Dir(target))); !slices.Equal(left, []string{"backup.db"}) {
		t.Errorf("beside the backup: got %q, want it alone", left)
	}

	copied, err := sqlite.OpenVerifier(target, &sqlite.Options{PepperFile: path + ".pepper"})
	if err != nil {
		t.Fatalf("OpenVerifier of the backup: %v", err)
	}
	t.Cleanup(func() { _ = copied.Close() })
	events, err := copied.Events(t.Context(), 0, 100)
	if err != nil || len(events) != 3 || got.Events != 3 || got.Keys != 3 || got.Newest.Seq != 3 || !got.Newest.At.Equal(events[2].At) {
		t.Errorf("the backup: got %d audit rows, %v, and is told as %+v, want three of each", len(events), err, got)
	}
	if len(got.Peppers) != 1 || got.Schema < 1 || got.Generation == "" || got.Path != target {
		t.Errorf("Backup: got %+v, want one pepper, a schema, a generation and the path", got)
	}
	if page, err := s.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 3+during {
		t.Errorf("List: got %d keys, %v, want %d", len(page.Keys), err, 3+during)
	}
}

// What exists is never overwritten, and no backup takes a name that SQLite or mcpkeys
// would take for something else.
func TestBackupRefusesTakenNames(t *testing.T) {
	path := create(t)
	s := open(t, path)
	dir := filepath.Dir(path)
	write(t, dir+"/mine", "mine")
	if err := os.Symlink("nowhere", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "keys.db", "keys.db-wal", "keys.db-journal", "keys.db.pepper", "keys.db.usage-wal", "keys.db-epoch"} {
		_, err := s.Backup(t.Context(), dir+"/"+name, nil)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "choose another") {
			t.Errorf("Backup to %s: got %v, want ErrExist and the fix", name, err)
		}
	}
	if got := string(read(t, dir+"/mine")); got != "mine" {
		t.Errorf("the file that was there: got %q", got)
	}
	if _, err := s.Backup(t.Context(), dir+"/link", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Backup to a link: got %v, want ErrExist", err)
	}
	if _, err := s.Backup(t.Context(), dir+"/no/where", nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("Backup into a missing directory: got %v, want the fix", err)
	}
	if left := hidden(t, dir); len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
}

func hidden(t testing.TB, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(dir + "/.mcpkeys-*")
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// A backup that is given up leaves nothing.
func TestBackupCancelled(t *testing.T) {
	path := create(t)
	swell(t, path)
	s := open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	target := filepath.Join(t.TempDir(), "backup.db")
	if _, err := s.Backup(ctx, target, func(int, int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup: got %v, want cancelled", err)
	}
	if left, err := os.ReadDir(filepath.Dir(target)); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if _, err := s.Backup(t.Context(), target, nil); err != nil {
		t.Errorf("Backup afterwards: %v", err)
	}
	_ = s.Close()
	if _, err := s.Backup(t.Context(), target+"2", nil); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Backup of a closed store: got %v, want unavailable", err)
	}
}

// A backup that could not be restored would be found out on the worst of days. So the
// copy is read, every page of it, before it is called a backup.
func TestBackupOfDamage(t *testing.T) {
	path := create(t)
	swell(t, path)
	s := open(t, path)
	issue(t, s, admin.IssueRequest{Name: "ci"})
	_ = s.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(1500); page < 1540; page++ {
		if _, err := f.WriteAt(make([]byte, 4096), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	_ = f.Close()
	r := openVerifier(t, path)
	target := filepath.Join(t.TempDir(), "backup.db")
	if _, err := r.Backup(t.Context(), target, nil); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Backup of a damaged key store: got %v, want it told", err)
	}
	if left, err := os.ReadDir(filepath.Dir(target)); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
