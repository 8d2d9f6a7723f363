package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// inNamespace is how a process gets mounts of its own: the script makes them.
func inNamespace(script string, args ...string) []string {
	words := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script + ` && shift ` + "$n" + ` && exec "$@"`, "sh"}
	words[6] = strings.ReplaceAll(words[6], "$n", string(rune('0'+len(args))))
	return append(words, args...)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// world is a key store in a directory behind a link, a guard and an admin program that
// have it open, and a key that the guard accepts.
type world struct {
	dir, link string // the directory, and the link to it
	path      string // of the database, through the link
	key       admin.Issued
	guard     *other
	admin     *other
}

func newWorld(t *testing.T) *world {
	t.Helper()
	top := t.TempDir()
	w := &world{dir: filepath.Join(top, "v1"), link: filepath.Join(top, "data")}
	mkdir(t, w.dir)
	if err := os.Symlink(w.dir, w.link); err != nil {
		t.Fatal(err)
	}
	w.path = filepath.Join(w.link, "keys.db")
	if err := sqlite.Create(w.path, nil); err != nil {
		t.Fatal(err)
	}
	s := open(t, w.path)
	w.key = issue(t, s, admin.IssueRequest{Name: "ci"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.admin = start(t, "admin", w.path)
	if got := w.admin.ask("issue first"); got != "done" {
		t.Fatalf("the admin program: %s", got)
	}
	w.guard = start(t, "guard", w.path)
	if got := w.check(); got != "valid" {
		t.Fatalf("the guard: %s", got)
	}
	return w
}

func (w *world) turnLink(t *testing.T, dir string) {
	t.Helper()
	remove(t, w.link)
	if err := os.Symlink(dir, w.link); err != nil {
		t.Fatal(err)
	}
}

func (w *world) check() string { return w.guard.ask("check " + w.key.Token.Reveal()) }

func (w *world) revoke(t testing.TB, path string, behind ...string) string {
	t.Helper()
	return once(t, path, "revoke "+w.key.Key.ID, behind...)
}

// replacements are what can happen to the files of a key store in use. After it a process
// is started that revokes a key, by the path that do returns.
var replacements = []struct {
	name   string
	do     func(t *testing.T, w *world) (path string, behind []string)
	revoke string // how the revocation must end; empty if it may be acknowledged
	admin  string // what the program that was open says to a change; empty if it may be acknowledged
}{
	{"-shm removed", func(t *testing.T, w *world) (string, []string) {
		remove(t, w.path+"-shm")
		return w.path, nil
	}, "", "start it again"},
	{"-shm replaced by a copy", func(t *testing.T, w *world) (string, []string) {
		replaceByCopy(t, w.path+"-shm")
		return w.path, nil
	}, "", "start it again"},
	{"-wal removed", func(t *testing.T, w *world) (string, []string) {
		remove(t, w.path+"-wal")
		return w.path, nil
	}, "-wal was removed", "start it again"},
	{"-wal replaced by a copy", func(t *testing.T, w *world) (string, []string) {
		replaceByCopy(t, w.path+"-wal")
		return w.path, nil
	}, "", "start it again"},
	{"-wal and -shm removed", func(t *testing.T, w *world) (string, []string) {
		remove(t, w.path+"-wal")
		remove(t, w.path+"-shm")
		return w.path, nil
	}, "doctor --fix", "start it again"},
	{"-epoch removed", func(t *testing.T, w *world) (string, []string) {
		remove(t, w.path+"-epoch")
		return w.path, nil
	}, "doctor --fix", "doctor --fix"},
	{"-epoch replaced by a copy", func(t *testing.T, w *world) (string, []string) {
		replaceByCopy(t, w.path+"-epoch")
		return w.path, nil
	}, "doctor --fix", "doctor --fix"},
	{"-epoch of another store", func(t *testing.T, w *world) (string, []string) {
		mustRename(t, create(t)+"-epoch", w.path+"-epoch")
		return w.path, nil
	}, "belongs to another key store", "belongs to another key store"},
	{"a hard link", func(t *testing.T, w *world) (string, []string) {
		name := filepath.Join(w.dir, "other.db")
		if err := os.Link(w.path, name); err != nil {
			t.Fatal(err)
		}
		write(t, name+".pepper", string(read(t, w.path+".pepper")))
		return name, nil
	}, "remove the other names", "remove the other names"},
	{"moved, and a link in its place", func(t *testing.T, w *world) (string, []string) {
		name := filepath.Join(w.dir, "real.db")
		mustRename(t, w.path, name)
		if err := os.Symlink(name, w.path); err != nil {
			t.Fatal(err)
		}
		write(t, name+".pepper", string(read(t, w.path+".pepper")))
		return w.path, nil
	}, "doctor --fix", "start it again"},
	{"a copy of the directory under the link", func(t *testing.T, w *world) (string, []string) {
		run(t, "cp", "-a", w.dir, w.dir+"2")
		w.turnLink(t, w.dir+"2")
		return w.path, nil
	}, "doctor --fix", "start it again"},
	{"a copy of the directory, made a key store of its own, under the link", func(t *testing.T, w *world) (string, []string) {
		run(t, "cp", "-a", w.dir, w.dir+"2")
		mustMend(t, filepath.Join(w.dir+"2", "keys.db"))
		w.turnLink(t, w.dir+"2")
		return w.path, nil
	}, "", "start it again"},
	{"the directory renamed", func(t *testing.T, w *world) (string, []string) {
		mustRename(t, w.dir, w.dir+"2")
		return filepath.Join(w.dir+"2", "keys.db"), nil
	}, "", "was removed or renamed"},
	{"the database mounted elsewhere", func(t *testing.T, w *world) (string, []string) {
		there := filepath.Join(t.TempDir(), "keys.db")
		write(t, there, "")
		write(t, there+".pepper", string(read(t, w.path+".pepper")))
		return there, inNamespace(`mount --bind "$1" "$2"`, filepath.Join(w.dir, "keys.db"), there)
	}, "mount its directory", ""},
	{"all files mounted elsewhere one by one", func(t *testing.T, w *world) (string, []string) {
		there := filepath.Join(t.TempDir(), "keys.db")
		for _, suffix := range []string{"", "-wal", "-shm", "-epoch"} {
			write(t, there+suffix, "")
		}
		write(t, there+".pepper", string(read(t, w.path+".pepper")))
		return there, inNamespace(`for s in "" -wal -shm -epoch; do mount --bind "$1$s" "$2$s" || exit 1; done`, filepath.Join(w.dir, "keys.db"), there)
	}, "mount its directory", ""},
	{"the epoch file mounted over itself", func(_ *testing.T, w *world) (string, []string) {
		name := filepath.Join(w.dir, "keys.db-epoch")
		return w.path, inNamespace(`mount --bind "$1" "$1"`, name)
	}, "mount its directory", ""},
}

// TestRevokedWhereFilesWereReplaced is the promise that an acknowledged revocation is one
// for every process, whatever became of the files that they have open. Either the change
// is refused with the reason, or the guard refuses the key at once. A program that lost
// its files changes nothing, and does not take back what others did when it ends.
func TestRevokedWhereFilesWereReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range replacements {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			path, behind := c.do(t, w)
			answer := w.revoke(t, path, behind...)
			if c.revoke == "" && answer != "done" || !strings.Contains(answer, c.revoke) {
				t.Errorf("revoke: got %q, want %q", answer, c.revoke)
			}
			if code := w.check(); answer == "done" && strings.HasPrefix(code, "valid") {
				t.Errorf("the guard, after an acknowledged revocation: %s", code)
			}
			if got := w.admin.ask("issue second"); c.admin == "" && got != "done" || !strings.Contains(got, c.admin) {
				t.Errorf("the program that was open: got %q, want %q", got, c.admin)
			}
			w.admin.end()
			w.guard.end()
			if answer != "done" {
				return
			}
			s := open(t, path)
			k, err := s.Key(t.Context(), w.key.Key.ID)
			if err != nil || k.RevokedAt.IsZero() {
				t.Errorf("the key afterwards: got %v, %v, want it revoked", k, err)
			}
			mustChanges(t, s, feed.Position{})
			wholeChain(t, s.Reader)
		})
	}
}
