package sqlite_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// twoStores are two key stores under one pepper, as an administrator had them who used one
// pepper file for both: the ids in the files differ.
func twoStores(t *testing.T) (a, b string) {
	t.Helper()
	a = create(t)
	peppers, err := pepperfile.Load(a + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	b = t.TempDir() + "/keys.db"
	write(t, b+".pepper", string(peppers.ForStore(pepper.StoreID{}).Encode()))
	if err := sqlite.Create(b, nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return a, b
}

// copyRows copies all keys of the store at from into the one at to, as a database shell
// does.
func copyRows(t *testing.T, from, to string) {
	t.Helper()
	db := shell(t, to)
	mustExec(t, db, `ATTACH ? AS other`, from)
	mustExec(t, db, `INSERT INTO keys SELECT * FROM other.keys`)
	mustExec(t, db, `INSERT INTO secrets SELECT * FROM other.secrets`)
	mustExec(t, db, `DETACH other`)
}

// A27. The attack: a key that is good in one store, for a trial say, is copied by SQL into
// another one under the same pepper, where it would open servers. It is refused, while the
// stores are open and when they are opened again, also where meta.store_id was edited to
// be that of the other: the pepper file and the running processes know better.
func TestA27RowOfAnotherStoreIsRefused(t *testing.T) {
	from, to := twoStores(t)
	theirs := open(t, from)
	issued := issue(t, theirs, admin.IssueRequest{Name: "trial", Scopes: []string{"*"}})
	s := open(t, to)
	own := issue(t, s, admin.IssueRequest{Name: "own"})
	copyRows(t, from, to)
	refused := func(when string) {
		t.Helper()
		k, err := s.Key(t.Context(), issued.Key.ID)
		if err == nil {
			err = s.Peppers().CheckSeal(k)
		}
		if !errors.Is(err, keys.ErrTampered) {
			t.Errorf("%s: the copied key: got %v, want ErrTampered", when, err)
		}
		wantGood(t, s, when, own)
	}
	refused("copied")
	theirID := theirs.Peppers().Store()
	mustExec(t, shell(t, to), `UPDATE meta SET value = ? WHERE name = 'store_id'`, theirID[:])
	refused("with another id in meta")
	_, err := s.Changes(t.Context(), feed.Position{})
	isAltered(t, "Changes", err, "store id")
	_, err = manager(t, s).Revoke(t.Context(), own.Key.ID, "")
	isAltered(t, "Revoke", err, "store id")
	for what, err := range openBoth(to) {
		if err == nil || !strings.Contains(err.Error(), "is for another key store") {
			t.Errorf("%s with another id in meta: got %v, want it refused", what, err)
		}
	}
}

// A pepper file that names another store, or none, is refused with what to do; a running
// process continues with the peppers that it has.
func TestPepperFileOfAnotherStore(t *testing.T) {
	from, to := twoStores(t)
	s := open(t, to)
	issued := issue(t, s, admin.IssueRequest{Name: "ci"})
	id := s.Peppers().Store()
	text, err := os.ReadFile(from + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	write(t, to+".pepper", string(text))
	for what, err := range openBoth(to) {
		if err == nil || !strings.Contains(err.Error(), "is for another key store") {
			t.Errorf("%s: got %v, want it refused", what, err)
		}
	}
	wantGood(t, s, "a running process", issued)
	if got := s.Peppers().Store(); got != id {
		t.Errorf("Peppers: got those of %s, want of %s", got, id)
	}
	write(t, to+".pepper", string(s.Peppers().ForStore(pepper.StoreID{}).Encode()))
	for what, err := range openBoth(to) {
		line := "store " + id.String()
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Fatalf("%s: got %v, want the line that is missing", what, err)
		}
	}
	write(t, to+".pepper", string(s.Peppers().ForStore(pepper.StoreID{}).Encode())+"store "+id.String()+"\n")
	for what, err := range openBoth(to) {
		if err != nil {
			t.Errorf("%s after the line was added: %v", what, err)
		}
	}
}

// Backup and restore keep the id, and the backup of another store is refused.
func TestStoreIDIsKept(t *testing.T) {
	from, to := twoStores(t)
	s := open(t, to)
	id := s.Peppers().Store()
	backup, other := to+".backup", from+".backup"
	if _, err := s.Backup(t.Context(), backup, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, from).Backup(t.Context(), other, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.PrepareRestore(t.Context(), to, other, nil); err == nil || !strings.Contains(err.Error(), "another key store") {
		t.Errorf("PrepareRestore of another store's backup: got %v, want it refused", err)
	}
	r, err := sqlite.PrepareRestore(t.Context(), to, backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := open(t, to).Peppers().Store(); got != id {
		t.Errorf("after the restore: got store %s, want %s", got, id)
	}
	mustChanges(t, s, feed.Position{})
}
