package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// manager acts on s in the name of the test.
func manager(t testing.TB, s keys.Store) *keys.LocalManager {
	t.Helper()
	m, err := keys.NewManager(s, "test", nil)
	if err != nil {
		t.Fatalf("NewManager: %v", err)
	}
	return m
}

func issue(t testing.TB, s keys.Store, req keys.IssueRequest) keys.Issued {
	t.Helper()
	issued, err := manager(t, s).Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued
}

func mustChanges(t testing.TB, f keys.Feed, since int64) keys.Changes {
	t.Helper()
	c, err := f.Changes(t.Context(), since)
	if err != nil {
		t.Fatalf("Changes(%d): %v", since, err)
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

// Each refusal says what to do, and leaves everything as it is.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  []string
		is    error
	}{
		{"nothing there", func(t *testing.T, path string) { remove(t, path) }, []string{"no key store at", "keyctl init"}, fs.ErrNotExist},
		{"a directory", func(t *testing.T, path string) { remove(t, path); mkdir(t, path) }, []string{"not a regular file"}, nil},
		{"an empty file", func(t *testing.T, path string) { write(t, path, "") }, []string{"not a key store", "keyctl init"}, nil},
		{"a text file", func(t *testing.T, path string) { write(t, path, strings.Repeat("hello ", 1000)) }, []string{"not a database", "keyctl init"}, nil},
		{"a cut-off database", func(t *testing.T, path string) { truncate(t, path, 5000) }, []string{"damaged", "backup"}, nil},
		{"another program's database", func(t *testing.T, path string) {
			remove(t, path)
			mustExec(t, shell(t, path), `CREATE TABLE theirs (x)`)
		}, []string{"not a key store", "another name"}, nil},
		{"a newer schema", func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 2`) }, []string{"newer mcpkeys", "update"}, nil},
		{"an unknown older schema", func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 0`) }, []string{"schema 0", "backup"}, nil},
		{"a database without peppers", func(t *testing.T, path string) {
			mustExec(t, shell(t, path), `DELETE FROM meta WHERE name GLOB 'pepper/*'`)
		}, []string{"no pepper", "backup"}, nil},
		{"no pepper file", func(t *testing.T, path string) { remove(t, path+".pepper") }, []string{"no pepper file at", ".pepper", "restore"}, fs.ErrNotExist},
		{"another pepper", func(t *testing.T, path string) {
			remove(t, path+".pepper")
			if _, err := pepperfile.Create(path + ".pepper"); err != nil {
				t.Fatal(err)
			}
		}, []string{"does not hold pepper p", ".pepper", "restore"}, nil},
		{"a pepper with one wrong digit", func(t *testing.T, path string) { alterPepper(t, path+".pepper") }, []string{"pepper p", "not the one", "restore"}, nil},
		{"a pepper that all may read", func(t *testing.T, path string) { chmod(t, path+".pepper", 0o644) }, []string{"chmod 600", ".pepper"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := create(t)
			c.spoil(t, path)
			before := snapshot(t, filepath.Dir(path))
			s, err := sqlite.Open(path, nil)
			if err == nil {
				_ = s.Close()
				t.Fatal("Open: got no error")
			}
			r, rerr := sqlite.OpenVerifier(path, nil)
			if rerr == nil {
				_ = r.Close()
				t.Fatal("OpenVerifier: got no error")
			}
			for _, err := range []error{err, rerr} {
				for _, word := range c.want {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("got %q, want %q in it", err, word)
					}
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("got %v, want one that is %v", err, c.is)
				}
			}
			if after := snapshot(t, filepath.Dir(path)); !same(before, after) {
				t.Errorf("something was changed: before %v, after %v", names(before), names(after))
			}
		})
	}
}

// For root no permission counts, so a second process tries it as nobody.
func TestReadOnlyPlacesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name          string
		dir, database fs.FileMode
		owner         int
		want          string
	}{
		{"all is well", 0o777, 0o600, 65534, "opened"},
		{"a directory to read only", 0o555, 0o600, 65534, "must be writable"},
		{"a file to read only", 0o777, 0o400, 65534, "must be writable"},
		{"somebody else's file", 0o777, 0o600, 0, "must be writable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := create(t)
			if os.Geteuid() == 0 {
				for _, p := range []string{path + ".pepper", path} {
					if err := os.Chown(p, 65534, 65534); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chown(path, c.owner, c.owner); err != nil {
					t.Fatal(err)
				}
			} else if c.owner == 0 {
				t.Skip("only root can give files away")
			}
			dir := filepath.Dir(path)
			chmod(t, filepath.Dir(dir), 0o755)
			chmod(t, path, c.database)
			chmod(t, dir, c.dir)
			t.Cleanup(func() { chmod(t, dir, 0o755) })
			out, err := child(t, "refused", path).Output()
			if err != nil {
				t.Fatalf("child: %v", err)
			}
			if !strings.Contains(string(out), c.want) {
				t.Errorf("got %q, want %q in it", out, c.want)
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	path := create(t)
	before := snapshot(t, filepath.Dir(path))
	if err := sqlite.Create(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a key store: got %v, want ErrExist", err)
	}
	if after := snapshot(t, filepath.Dir(path)); !same(before, after) {
		t.Errorf("Create over a key store changed something")
	}

	missing := filepath.Join(t.TempDir(), "no", "keys.db")
	if err := sqlite.Create(missing, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("Create in a missing directory: got %v", err)
	}
	if err := sqlite.Create("", nil); err == nil {
		t.Errorf("Create without a path: got no error")
	}

	bad := filepath.Join(t.TempDir(), "keys.db")
	write(t, bad+".pepper", "not a pepper")
	chmod(t, bad+".pepper", 0o600)
	if err := sqlite.Create(bad, nil); err == nil {
		t.Errorf("Create with a broken pepper: got no error")
	}
	if got := names(snapshot(t, filepath.Dir(bad))); !slices.Equal(got, []string{"keys.db.pepper"}) {
		t.Errorf("Create with a broken pepper left %v", got)
	}
}

// A pepper may be there before its database, from a backup or from an attempt that
// failed half-way: it is used, not replaced.
func TestCreateUsesThePepperThatIsThere(t *testing.T) {
	dir := t.TempDir()
	o := &sqlite.Options{PepperFile: filepath.Join(dir, "elsewhere")}
	if _, err := pepperfile.Create(o.PepperFile); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)["elsewhere"]
	path := filepath.Join(dir, "keys.db")
	if err := sqlite.Create(path, o); err != nil {
		t.Fatalf("Create: %v", err)
	}
	s, err := sqlite.Open(path, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	_ = s.Close()
	after := snapshot(t, dir)
	if got := names(after); !slices.Equal(got, []string{"elsewhere", "keys.db"}) || after["elsewhere"] != before {
		t.Errorf("got %v, want the pepper as it was, and the database", got)
	}
}

func TestRacingCreatesMakeOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = sqlite.Create(path, nil) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create: got %v, want ErrExist", err)
		}
	}
	if made != 1 {
		t.Errorf("%d of 4 made it, want 1", made)
	}
	open(t, path)
	if got := len(names(snapshot(t, filepath.Dir(path)))); got != 4 {
		t.Errorf("got %d files, want the database, -wal, -shm and the pepper", got)
	}
}

// Another pepper in the file, the next current one, is noted when the store opens.
func TestAddedPepperIsNoted(t *testing.T) {
	path := create(t)
	text, err := os.ReadFile(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), " current ", " retired ", 1) + "pnew01 current " + strings.Repeat("ab", 32) + "\n"
	write(t, path+".pepper", more)
	s := open(t, path)
	if k := issue(t, s, keys.IssueRequest{Name: "new"}).Key; k.Seal.PepperID != "pnew01" {
		t.Errorf("sealed with %s, want pnew01", k.Seal.PepperID)
	}
	_ = s.Close()
	write(t, path+".pepper", string(text))
	if _, err := sqlite.Open(path, nil); err == nil || !strings.Contains(err.Error(), "pnew01") {
		t.Errorf("Open without the added pepper: got %v, want its id named", err)
	}
}

func TestSQLiteIsNewEnough(t *testing.T) {
	s := open(t, create(t))
	var text string
	var number [3]int
	if err := s.Writer().QueryRow(`SELECT sqlite_version()`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &number[0], &number[1], &number[2]); err != nil || slices.Compare(number[:], []int{3, 51, 3}) < 0 {
		t.Errorf("SQLite %s can corrupt a database that two connections checkpoint; 3.51.3 or newer is needed", text)
	}
}

// Numbers are from statfs(2); what is not on the list is a local file system.
func TestNetworkFileSystems(t *testing.T) {
	for magic, word := range map[uint32]string{
		0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x65735546: "FUSE", 0x01021997: "9p", 0x00c36400: "Ceph",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x2fc12fc1: "", 0x01021994: "", 0x794c7630: "",
	} {
		err := sqlite.JudgeFS("/srv/keys.db", magic)
		if word == "" && err != nil {
			t.Errorf("JudgeFS(%#x): got %v, want nil", magic, err)
		}
		if word != "" && (err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), "local disk")) {
			t.Errorf("JudgeFS(%#x): got %v, want %s named and a local disk asked for", magic, err, word)
		}
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
