package sqlite_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// olderStore is a key store of schema 1 in the eyes of a program that knows one schema
// more: until the test ends, this process and its children know the made-up schema 2.
type olderStore struct {
	path   string
	issued map[string]admin.Issued // by name
}

func older(t testing.TB) *olderStore {
	t.Helper()
	sqlite.KnowMadeUpStep(false)
	o := &olderStore{path: create(t), issued: map[string]admin.Issued{}}
	s, err := sqlite.Open(o.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := manager(t, s)
	for _, name := range []string{"ci", "leaked", "boss", "turned"} {
		o.issued[name] = issue(t, s, admin.IssueRequest{Name: name})
	}
	rotated, err1 := m.Rotate(t.Context(), o.issued["turned"].Key.ID, admin.RotateRequest{})
	_, err2 := m.Revoke(t.Context(), o.issued["leaked"].Key.ID, "it leaked")
	_, err3 := m.Disable(t.Context(), o.issued["boss"].Key.ID, "")
	if err := errors.Join(err1, err2, err3, s.Close()); err != nil {
		t.Fatal(err)
	}
	o.issued["turned"] = rotated
	sqlite.KnowMadeUpStep(true)
	t.Setenv(stepVar, "1") // for children
	t.Cleanup(func() { sqlite.KnowMadeUpStep(false) })
	return o
}

func schemaOf(t testing.TB, path string) (version int) {
	t.Helper()
	db := shell(t, path)
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

func kept(t testing.TB, path string) []string {
	t.Helper()
	found, err := filepath.Glob(path + ".schema*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

// wantAll looks for each key that was issued, and proves it by its secret.
func (o *olderStore) wantAll(t *testing.T, r *sqlite.Reader) {
	t.Helper()
	for name, status := range map[string]keys.Status{
		"ci": keys.StatusActive, "leaked": keys.StatusRevoked, "boss": keys.StatusDisabled, "turned": keys.StatusActive,
	} {
		k, err := r.Key(t.Context(), o.issued[name].Key.ID)
		if err != nil || r.Peppers().CheckSeal(k) != nil {
			t.Errorf("%s: got %v, %v, want it with its seal", name, k, err)
			continue
		}
		if proved := r.Peppers().Verify(k, o.issued[name].Token) != nil; k.Status(time.Now()) != status || !proved {
			t.Errorf("%s: got %s, its secret proved: %v, want it %s", name, k.Status(time.Now()), proved, status)
		}
	}
	if events := wholeChain(t, r); len(events) < 7 {
		t.Errorf("the audit log: got %d rows, want the seven that were there", len(events))
	}
}

// A server reads the old schema as it is, and changes nothing. Keys that were made with
// an older mcpkeys are good (A25).
func TestOldSchemaIsRead(t *testing.T) {
	o := older(t)
	path := o.path
	before := snapshot(t, filepath.Dir(path))
	r := openVerifier(t, path)
	o.wantAll(t, r)
	_ = r.Close()
	if after := snapshot(t, filepath.Dir(path)); !same(before, after) || schemaOf(t, path) != 1 {
		t.Errorf("OpenVerifier changed something: %q", names(after))
	}
}

// Opening the key store for changes migrates it, after a copy was made.
func TestMigrate(t *testing.T) {
	o := older(t)
	path := o.path
	r := openVerifier(t, path)
	before := mustChanges(t, r, feed.Position{}).Next
	epoch := r.Epoch()
	s := open(t, path)
	if got := schemaOf(t, path); got != 2 || r.Epoch() == epoch {
		t.Fatalf("schema: got %d, want 2, and an epoch that moved", got)
	}
	o.wantAll(t, s.Reader)
	if got := kept(t, path); !slices.Equal(got, []string{"keys.db.schema1"}) {
		t.Errorf("kept: got %q, want keys.db.schema1", got)
	}
	if info, err := os.Stat(path + ".schema1"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: got %v, %v, want 0600", info, err)
	}
	copied, err := sqlite.OpenVerifier(path+".schema1", &sqlite.Options{PepperFile: path + ".pepper"})
	if err != nil || schemaOf(t, path+".schema1") != 1 {
		t.Fatalf("OpenVerifier of the copy: %v", err)
	}
	defer func() { _ = copied.Close() }()
	o.wantAll(t, copied)

	// The open reader continues, and misses nothing.
	issue(t, s, admin.IssueRequest{Name: "new"})
	if c := mustChanges(t, r, before); !c.Lost {
		t.Errorf("Changes of a reader that was open: got %+v, want Lost, because the tables differ", c)
	}
	_ = s.Close()
	open(t, path)
	if got := kept(t, path); len(got) != 1 {
		t.Errorf("kept after the second Open: got %q, want one copy", got)
	}
}

// What stands under the copy's name is left as it is, and used if it is the same.
func TestMigrateKeepsWhatIsKept(t *testing.T) {
	o := older(t)
	path := o.path
	backUp(t, openVerifier(t, path), path+".schema1")
	open(t, path)
	if got := kept(t, path); !slices.Equal(got, []string{"keys.db.schema1"}) {
		t.Errorf("kept: got %q, want the copy that was there", got)
	}
	path = older(t).path
	write(t, path+".schema1", "mine")
	open(t, path)
	if got := kept(t, path); !slices.Equal(got, []string{"keys.db.schema1", "keys.db.schema1-2"}) || string(read(t, path+".schema1")) != "mine" {
		t.Errorf("kept: got %q, want a second one beside what was there", got)
	}
}

// Each refusal comes before anything is changed.
func TestMigrateRefuses(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"another pepper": func(t *testing.T, path string) {
			remove(t, path+".pepper")
			if _, err := pepperfile.Create(path + ".pepper"); err != nil {
				t.Fatal(err)
			}
		},
		"a planted trigger": func(t *testing.T, path string) {
			mustExec(t, shell(t, path), `CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END`)
		},
		"the index is there already": func(t *testing.T, path string) {
			mustExec(t, shell(t, path), `CREATE INDEX audit_made_up ON audit (key_id, at)`)
		},
		"damage": func(t *testing.T, path string) {
			_ = open(t, path).Close() // or the index would be damaged, and not a row
			mustExec(t, shell(t, path), `DROP INDEX audit_made_up; PRAGMA user_version = 1`)
			remove(t, path+".schema1")
			spoilTables(t, path, "audit")
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := older(t)
			path := o.path
			spoil(t, path)
			if _, err := sqlite.Open(path, nil); err == nil {
				t.Fatal("Open: got no error")
			}
			if got := kept(t, path); schemaOf(t, path) != 1 || len(got)+len(hidden(t, filepath.Dir(path))) != 0 {
				t.Errorf("Open: left schema %d and %q", schemaOf(t, path), got)
			}
		})
	}
}

// An older backup is migrated on its way.
func TestRestoreOfOldSchema(t *testing.T) {
	was := older(t)
	old := was.path
	backup := filepath.Join(t.TempDir(), "backup.db")
	backUp(t, openVerifier(t, old), backup)
	path := filepath.Join(t.TempDir(), "keys.db")
	o := &sqlite.Options{PepperFile: old + ".pepper", SameStore: true}
	if err := sqlite.Create(path, o); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.PrepareRestore(t.Context(), path, backup, o)
	if err != nil || r.Backup.Schema != 1 {
		t.Fatalf("PrepareRestore: got %+v, %v", r, err)
	}
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
		t.Fatalf("Run: %v", err)
	}
	_ = r.Close()
	s, err := sqlite.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	was.wantAll(t, s.Reader)
	if left := kept(t, path); schemaOf(t, path) != 2 || len(left) != 0 {
		t.Errorf("got schema %d and %q, want 2 and no copy of what never stood there", schemaOf(t, path), left)
	}
}

// openRole opens for writing, so migrates.
func openRole(path string) error {
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	return s.Close()
}

// Of several processes that begin at once one migrates.
func TestMigrateAtOnce(t *testing.T) {
	o := older(t)
	path := o.path
	var wait []func() error
	for range 4 {
		cmd := child(t, "open", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait = append(wait, cmd.Wait)
	}
	for _, ended := range wait {
		if err := ended(); err != nil {
			t.Errorf("one of four: %v", err)
		}
	}
	if got := kept(t, path); schemaOf(t, path) != 2 || !slices.Equal(got, []string{"keys.db.schema1"}) {
		t.Errorf("got schema %d and %q, want 2 and one copy", schemaOf(t, path), got)
	}
	o.wantAll(t, openVerifier(t, path))
}

// TestA19KilledWhileMigrating: the process that migrates is killed at a random moment.
// The key store is of the one schema or of the other, whole, and the next one finds its
// way from there.
func TestA19KilledWhileMigrating(t *testing.T) {
	found := map[int]int{}
	var took time.Duration // by a migration that is left alone, which is the first
	for round := 0; round < rounds(6, 100) || found[1] == 0 && round < 100; round++ {
		if round >= 6 && found[1] == 0 {
			took /= 2 // the first took longer than the others, so that all kills came too late
		}
		o := older(t)
		path := o.path
		swell(t, path)
		cmd := child(t, "open", path)
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			time.AfterFunc(sometime(took, round%2 == 0), func() { _ = cmd.Process.Kill() })
		}
		_ = cmd.Wait()
		if round == 0 {
			took = time.Since(began)
		}
		version := schemaOf(t, path)
		found[version]++
		o.wantAll(t, openVerifier(t, path))
		if _, err := os.Lstat(path + ".schema1"); version == 2 && errors.Is(err, fs.ErrNotExist) {
			t.Errorf("round %d: migrated without a copy", round)
		}
		o.wantAll(t, open(t, path).Reader)
		if got := schemaOf(t, path); got != 2 || len(kept(t, path)) != 1 {
			t.Errorf("round %d: the next Open left schema %d and %q", round, got, kept(t, path))
		}
	}
	t.Logf("killed at schema 1: %d times, at schema 2: %d times", found[1], found[2])
	if found[1] == 0 || found[2] == 0 {
		t.Errorf("got %v, want both, or this test shows nothing", found)
	}
}
