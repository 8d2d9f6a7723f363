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

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Each refusal says what to do, and leaves everything as it is.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  []string
		is    error
	}{
		{"nothing there", func(t *testing.T, path string) { remove(t, path) }, []string{"no key store at", "keyctl init"}, fs.ErrNotExist},
		{"a directory", func(t *testing.T, path string) { remove(t, path); mkdir(t, path) }, []string{"not a regular file"}, nil},
		{"an empty file", func(t *testing.T, path string) { write(t, path, "") }, []string{"not a key store", "--db"}, nil},
		{"a text file", func(t *testing.T, path string) { write(t, path, strings.Repeat("hello ", 1000)) }, []string{"not a database", "--db"}, nil},
		{"a cut-off database", func(t *testing.T, path string) { truncate(t, path, 5000) }, []string{"damaged", "backup"}, nil},
		{"another program's database", func(t *testing.T, path string) {
			remove(t, path)
			mustExec(t, shell(t, path), `CREATE TABLE theirs (x)`)
		}, []string{"not a key store", "--db"}, nil},
		{"a newer schema", func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 99`) }, []string{"newer mcpkeys", "update"}, nil},
		{"an unknown older schema", func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 0`) }, []string{"schema 0", "backup"}, nil},
		{"a database without peppers", func(t *testing.T, path string) {
			mustExec(t, shell(t, path), `DELETE FROM meta WHERE name GLOB 'pepper/*'`)
		}, []string{"no pepper", "backup"}, nil},
		{"no pepper file", func(t *testing.T, path string) { remove(t, path+".pepper") }, []string{"not found", ".pepper", "restore"}, fs.ErrNotExist},
		{"another pepper", func(t *testing.T, path string) {
			remove(t, path+".pepper")
			if _, err := pepperfile.Create(path + ".pepper"); err != nil {
				t.Fatal(err)
			}
		}, []string{"lacks pepper p", ".pepper", "restore"}, nil},
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

// Permissions do not apply to root, so a second process tries it as the user `nobody`.
func TestReadOnlyPlacesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		dir, database fs.FileMode
		want          string
	}{
		{"all is well", 0o777, 0o600, "opened"},
		{"a directory to read only", 0o555, 0o600, "must be able to write"},
		{"a file to read only", 0o777, 0o400, "must be able to write"},
		{"a file of another user", 0o777, 0o000, "must be able to write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := create(t)
			if os.Geteuid() == 0 {
				for _, p := range []string{path + ".pepper", path + "-epoch", path} {
					if err := os.Chown(p, 65534, 65534); err != nil {
						t.Fatal(err)
					}
				}
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

// Another pepper in the file, the next current one, is noted when the store opens.
func TestAddedPepperIsNoted(t *testing.T) {
	path := create(t)
	text, err := os.ReadFile(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), " current ", " old ", 1) + "pnew01 current " + strings.Repeat("ab", 32) + "\n"
	write(t, path+".pepper", more)
	s := open(t, path)
	if k := issue(t, s, admin.IssueRequest{Name: "new"}).Key; k.Seal.PepperID != "pnew01" {
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
