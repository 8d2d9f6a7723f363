package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// What the tests of this package do to a key store and its files.

// create makes an empty key store and returns its path.
func create(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return path
}

// open opens it until the test ends.
func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// manager acts on s in the name of the test.
func manager(t testing.TB, s store.Store) *admin.Local {
	t.Helper()
	m, err := admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatalf("NewLocal: %v", err)
	}
	return m
}

func issue(t testing.TB, s store.Store, req admin.IssueRequest) admin.Issued {
	t.Helper()
	issued, err := manager(t, s).Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued
}

func mustChanges(t testing.TB, f feed.Feed, since feed.Position) feed.Changes {
	t.Helper()
	c, err := f.Changes(t.Context(), since)
	if err != nil {
		t.Fatalf("Changes(%v): %v", since, err)
	}
	return c
}

// shell is a connection as a database shell makes one: the plain driver, nothing
// set, nothing known of this package.
func shell(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// snapshot reads every file of a directory. A database must not be open meanwhile.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") || strings.HasSuffix(e.Name(), "-shm") || e.IsDir() {
			out[e.Name()] = ""
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(text)
	}
	return out
}

// same leaves -wal and -shm out, which even a reader makes.
func same(a, b map[string]string) bool {
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			if strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") {
				continue
			}
			if a[name] != b[name] {
				return false
			}
		}
	}
	return true
}

func names(m map[string]string) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// replaceByCopy puts a copy in the place of a file.
func replaceByCopy(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path+".copy", string(text))
	mustRename(t, path+".copy", path)
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes into a file that processes have mapped.
func overwrite(t testing.TB, path string, text []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(text, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func truncate(t testing.TB, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func chmod(t testing.TB, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// alterPepper changes the last hex digit.
func alterPepper(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.TrimSpace(text)
	last := &text[len(text)-1]
	if *last == '0' {
		*last = '1'
	} else {
		*last = '0'
	}
	write(t, path, string(text)+"\n")
}
