package sqlite_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// schema1 makes a key store as the mcpkeys made it that knew no other schema, from what
// testdata has of one.
func schema1(t testing.TB) string {
	t.Helper()
	path := create(t) // for the files beside it, which are as they always were
	write(t, path, "")
	write(t, path+".pepper", string(read(t, "testdata/schema1.pepper")))
	db := shell(t, path)
	mustExec(t, db, `PRAGMA journal_mode = WAL`)
	mustExec(t, db, string(read(t, "testdata/schema1.sql")))
	_ = db.Close()
	return path
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

// wantKeysOfSchema1 looks for each key of testdata, and proves it by its secret.
func wantKeysOfSchema1(t *testing.T, r *sqlite.Reader) {
	t.Helper()
	for line := range strings.Lines(string(read(t, "testdata/schema1.keys"))) {
		var name, status, text string
		if n, _ := fmt.Sscan(line, &name, &status, &text); n != 3 || name == "#" {
			continue
		}
		token, err := keys.ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		k, err := r.Key(t.Context(), token.ID())
		if err != nil || r.Peppers().CheckSeal(k) != nil {
			t.Errorf("%s: got %v, %v, want it with its seal", name, k, err)
			continue
		}
		proved := r.Peppers().Verify(k, token.Secret()) != nil
		if string(k.Status(time.Now())) != status || k.Name != name || !proved {
			t.Errorf("%s: got %s, %s, its secret proved: %v, want it %s", name, k.Name, k.Status(time.Now()), proved, status)
		}
	}
	if events := wholeChain(t, r); len(events) < 7 || events[4].Detail == "" {
		t.Errorf("the audit log: got %d rows, want the seven that were there", len(events))
	}
}

// A server reads the old schema as it is, and changes nothing. Keys that were made with
// an older mcpkeys are good (A25).
func TestOldSchemaIsRead(t *testing.T) {
	path := schema1(t)
	before := snapshot(t, filepath.Dir(path))
	r := openVerifier(t, path)
	wantKeysOfSchema1(t, r)
	_ = r.Close()
	if after := snapshot(t, filepath.Dir(path)); !same(before, after) || schemaOf(t, path) != 1 {
		t.Errorf("OpenVerifier changed something: %q", names(after))
	}
}

// Whoever opens the key store to change keys has it migrated, after a copy was made.
func TestMigrate(t *testing.T) {
	path := schema1(t)
	r := openVerifier(t, path)
	before := mustChanges(t, r, keys.Position{}).Next
	epoch := r.Epoch()
	s := open(t, path)
	if got := schemaOf(t, path); got != 2 || r.Epoch() == epoch {
		t.Fatalf("schema: got %d, want 2, and an epoch that moved", got)
	}
	wantKeysOfSchema1(t, s.Reader)
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
	wantKeysOfSchema1(t, copied)

	// The reader that was open goes on, and nothing is lost to it.
	issue(t, s, keys.IssueRequest{Name: "new"})
	if c := mustChanges(t, r, before); c.Lost || len(c.IDs) != 1 {
		t.Errorf("Changes of a reader that was open: got %+v, want the new key", c)
	}
	_ = s.Close()
	open(t, path)
	if got := kept(t, path); len(got) != 1 {
		t.Errorf("kept after the second Open: got %q, want one copy", got)
	}
}

// What stands under the copy's name is left as it is, and used if it is the same.
func TestMigrateKeepsWhatIsKept(t *testing.T) {
	path := schema1(t)
	backUp(t, openVerifier(t, path), path+".schema1")
	open(t, path)
	if got := kept(t, path); !slices.Equal(got, []string{"keys.db.schema1"}) {
		t.Errorf("kept: got %q, want the copy that was there", got)
	}
	path = schema1(t)
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
			mustExec(t, shell(t, path), `CREATE INDEX audit_key ON audit (key_id, seq)`)
		},
		"damage": func(t *testing.T, path string) {
			_ = open(t, path).Close() // or the index would be damaged, and not a row
			mustExec(t, shell(t, path), `DROP INDEX audit_key; PRAGMA user_version = 1`)
			remove(t, path+".schema1")
			spoilTables(t, path, "audit")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := schema1(t)
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
	old := schema1(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	backUp(t, openVerifier(t, old), backup)
	path := filepath.Join(t.TempDir(), "keys.db")
	o := &sqlite.Options{PepperFile: old + ".pepper"}
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
	wantKeysOfSchema1(t, s.Reader)
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
	path := schema1(t)
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
	wantKeysOfSchema1(t, openVerifier(t, path))
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
		path := schema1(t)
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
		wantKeysOfSchema1(t, openVerifier(t, path))
		if _, err := os.Lstat(path + ".schema1"); version == 2 && errors.Is(err, fs.ErrNotExist) {
			t.Errorf("round %d: migrated without a copy", round)
		}
		wantKeysOfSchema1(t, open(t, path).Reader)
		if got := schemaOf(t, path); got != 2 || len(kept(t, path)) != 1 {
			t.Errorf("round %d: the next Open left schema %d and %q", round, got, kept(t, path))
		}
	}
	t.Logf("killed at schema 1: %d times, at schema 2: %d times", found[1], found[2])
	if found[1] == 0 || found[2] == 0 {
		t.Errorf("got %v, want both, or this test shows nothing", found)
	}
}
