package pepperfile_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
)

// A test that needs another process starts this binary again with a number of peppers
// to add in the environment.
const addVar = "MCPKEYS_TEST_ADD"

func TestMain(m *testing.M) {
	if os.Getenv(addVar) == "" {
		os.Exit(m.Run())
	}
	var n int
	_, err := fmt.Sscan(os.Getenv(addVar), &n)
	for i := 0; i < n && err == nil; i++ {
		var p *pepper.Set
		if p, err = pepperfile.Replace(os.Args[1], add); err == nil {
			fmt.Println(p.Current())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func add(p *pepper.Set) (*pepper.Set, error) {
	more, _, err := p.Add()
	return more, err
}

func adder(path string, n int) *exec.Cmd {
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", addVar, n))
	cmd.Stderr = os.Stderr
	return cmd
}

func create(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db.pepper")
	if _, err := pepperfile.Create(path); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return path
}

func load(t *testing.T, path string) *pepper.Set {
	t.Helper()
	p, err := pepperfile.Load(path)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return p
}

// The accident: two administrators add a pepper at the same moment, one file replaces the
// other, and the keys made with the lost pepper can no longer be verified.
func TestReplacesAtOnceLoseNoPepper(t *testing.T) {
	path := create(t)
	const processes, each = 3, 5
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			if out, err := adder(path, each).Output(); err != nil || strings.Count(string(out), "\n") != each {
				t.Errorf("adding process: got %q, %v, want %d ids", out, err, each)
			}
		})
	}
	wg.Wait()
	if got, want := len(load(t, path).IDs()), 1+processes*each; got != want {
		t.Errorf("got %d peppers, want %d", got, want)
	}
	onlyFile(t, path)
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got files %v, %v, want the pepper file alone", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
}

// A19. The attack, or the accident: the process is killed at any moment while it writes the
// file. The file stays readable and has every announced pepper; the next Replace removes
// temporary files.
func TestA19KilledWhileReplacing(t *testing.T) {
	path := create(t)
	told := load(t, path).IDs()
	for range 15 {
		cmd := adder(path, 1000)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("the other process added none")
		}
		told = append(told, lines.Text())
		time.AfterFunc(time.Duration(rand.IntN(4000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			told = append(told, lines.Text())
		}
		_ = cmd.Wait() // it was killed
		p := load(t, path)
		for _, id := range told {
			if !p.Has(id) {
				t.Fatalf("after a kill the file does not hold pepper %s, which was told", id)
			}
		}
		trim(t, path)
		told = load(t, path).IDs()
	}
	onlyFile(t, path)
}

// trim keeps the file small, and removes what a kill left beside it.
func trim(t *testing.T, path string) {
	t.Helper()
	_, err := pepperfile.Replace(path, func(p *pepper.Set) (*pepper.Set, error) {
		p, err := add(p)
		for _, id := range p.IDs() {
			if id != p.Current() {
				p, err = p.Remove(id)
			}
		}
		return p, err
	})
	if err != nil {
		t.Fatalf("Replace: %v", err)
	}
	onlyFile(t, path)
}

func TestReplaceWritesNothing(t *testing.T) {
	path := create(t)
	before, _ := os.Stat(path)
	refusal := errors.New("no")
	for name, change := range map[string]func(*pepper.Set) (*pepper.Set, error){
		"no change": func(p *pepper.Set) (*pepper.Set, error) { return p, nil },
		"a refusal": func(*pepper.Set) (*pepper.Set, error) { return nil, refusal },
	} {
		if _, err := pepperfile.Replace(path, change); err != nil && !errors.Is(err, refusal) {
			t.Errorf("Replace with %s: %v", name, err)
		}
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("Replace with %s wrote the file", name)
		}
	}
	if _, err := pepperfile.Replace(path+"x", add); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Replace of no file: got %v, want ErrNotExist", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pepperfile.Replace(path, add); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("Replace of a file that all may read: got %v, want the fix", err)
	}
}

// If a group may read the pepper file, it may read the next one, or guards of the group
// would not start again.
func TestReplaceKeepsGroup(t *testing.T) {
	t.Setenv("MCPKEYS_ALLOW_GROUP", "1")
	path := create(t)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := pepperfile.Replace(path, add); err != nil {
		t.Fatalf("Replace: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode: got %v, %v, want 0640", info, err)
	}
}

// A link is followed and stays; the owner of the file stays too.
func TestReplaceKeepsLinkAndOwner(t *testing.T) {
	path := create(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 65534
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	p, err := pepperfile.Replace(link, add)
	if err != nil {
		t.Fatalf("Replace: %v", err)
	}
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link: got %q, %v, want %q", target, err, path)
	}
	if got := load(t, path).Current(); got != p.Current() {
		t.Errorf("behind the link: got pepper %s, want %s", got, p.Current())
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != uid {
		t.Errorf("owner: got %d, want %d", owner, uid)
	}
	onlyFile(t, path)
}
