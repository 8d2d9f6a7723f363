package server_test

import (
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// wantReady asks until /readyz answers with status: a shared result, such as that of a running
// look, may be a moment old.
func wantReady(t *testing.T, f *servertest.Fixture, when string, status int) {
	t.Helper()
	var got servertest.Answer
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if got = f.Send("GET", "/readyz", "", ""); got.Status == status {
			return
		}
	}
	t.Fatalf("GET /readyz %s: got %d %s, want %d", when, got.Status, got.Body, status)
}

// A server whose pepper file is missing keeps running, and does not start again.
func TestNotReadyWithoutItsPepper(t *testing.T) {
	f := servertest.New(t)
	wantReady(t, f, "at first", 200)
	pepper := f.Path + ".pepper"
	if err := os.Rename(pepper, pepper+".away"); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "without the pepper", 503)
	if err := sqlite.Create(f.Path+".other", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.Path+".other.pepper", pepper); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "with the pepper of another store", 503)
	if err := os.Rename(pepper+".away", pepper); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "with its pepper again", 200)
}

// While another process holds the lock for seconds, no key can be changed. The answer does not
// wait for that.
func TestNotReadyUnderALongLock(t *testing.T) {
	f := servertest.New(t)
	db, err := sql.Open("sqlite3", f.Path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "under a lock", 503)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "after the lock", 200)
}

// A database that is missing for a while is used again when it is back.
func TestNotReadyWithoutItsDatabase(t *testing.T) {
	f := servertest.New(t)
	if err := os.Rename(f.Path, f.Path+".away"); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "without the database", 503)
	if err := os.Rename(f.Path+".away", f.Path); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "with its own again", 200)
}

// Another database in the place of the opened one is not used. A program that uses it writes to
// the log that the server has open, so the server must be restarted, also after its own
// database is back.
func TestNotReadyWithAnotherStore(t *testing.T) {
	f := servertest.New(t)
	wantReady(t, f, "at first", 200)
	text, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.Path, f.Path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	wantReady(t, f, "with a copy in its place", 503)
	if err := os.Rename(f.Path+".away", f.Path); err != nil {
		t.Fatal(err)
	}
	if got := f.Send("GET", "/readyz", "", ""); got.Status != 503 {
		t.Errorf("GET /readyz after a copy was in its place: got %d %s, want 503", got.Status, got.Body)
	}
}
