package sqlite_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A test that needs a second process starts this binary again with a role in the
// environment.
const roleVar = "MCPKEYS_TEST_ROLE"

// stepVar is set while this binary knows sqlite.KnowMadeUpStep; its children inherit it.
const stepVar = "MCPKEYS_TEST_STEP"

func TestMain(m *testing.M) {
	roles := map[string]func(path string) error{
		"write": writeRole, "count": countRole, "refused": refusedRole, "restore": restoreRole, "open": openRole,
		"live": liveRole, "crowd": crowdRole, "import": importRole, "fulldisk": fullDiskRole, "pepper": pepperRole,
		"guard": guardRole, "admin": adminRole, "layered": layeredRole, "mountedguard": mountedGuardRole, "linked": linkedRole, "hold": holdRole, "revoke": revokeRole,
	}
	role, ok := roles[os.Getenv(roleVar)]
	if !ok {
		flag.Parse()
		_ = flag.Set("test.parallel", "8") // most of these tests wait for another process
		os.Exit(m.Run())
	}
	if os.Getenv(stepVar) != "" {
		sqlite.KnowMadeUpStep(true)
	}
	if err := role(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// begin starts a child, whose output is to be read.
func begin(t testing.TB, cmd *exec.Cmd) io.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return out
}

// beginAsked is begin for a child that is told what to do.
func beginAsked(t testing.TB, cmd *exec.Cmd) (in io.WriteCloser, out io.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return in, begin(t, cmd)
}

// childStore opens the key store in a child.
func childStore(path string) (*sqlite.Store, *admin.Local, error) {
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return nil, nil, err
	}
	m, err := admin.NewLocal(s, "child", nil)
	return s, m, err
}

const childRounds = 25

// writeRole issues and revokes keys, and says so after each when it is done.
func writeRole(path string) error {
	s, m, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := range childRounds {
		issued, err := m.Issue(ctx, admin.IssueRequest{Name: "child " + strconv.Itoa(i)})
		if err != nil {
			return err
		}
		fmt.Println("issued", issued.Key.ID)
		if _, err := m.Revoke(ctx, issued.Key.ID, "done"); err != nil {
			return err
		}
		fmt.Println("revoked", issued.Key.ID)
	}
	return s.Close()
}

// Another process writes; this one reads, and writes as well. What the other one
// says is done is seen by the very next read.
func TestSecondProcessWrites(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatalf("OpenVerifier: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	m := manager(t, s)
	seq := mustChanges(t, r, feed.Position{}).Next

	cmd := child(t, "write", path)
	out := begin(t, cmd)
	seen, lines := map[string]bool{}, 0
	for scan := bufio.NewScanner(out); scan.Scan(); lines++ {
		verb, id, _ := strings.Cut(scan.Text(), " ")
		k, err := r.Key(t.Context(), id)
		if err != nil {
			t.Errorf("Key(%s) after the other process said %s: %v", id, verb, err)
			continue
		}
		if verb == "revoked" && k.RevokedAt.IsZero() {
			t.Errorf("Key(%s): not revoked, though the other process said so", id)
		}
		if _, err := m.Issue(t.Context(), admin.IssueRequest{Name: "parent " + strconv.Itoa(lines)}); err != nil {
			t.Errorf("Issue beside the other process: %v", err)
		}
		c := mustChanges(t, r, seq)
		seq = c.Next
		for _, id := range c.IDs {
			seen[id] = true
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the other process: %v", err)
	}
	if want := 2 * childRounds; lines != want || len(seen) != childRounds+want {
		t.Errorf("got %d lines and %d keys in the feed, want %d and %d", lines, len(seen), want, childRounds+want)
	}
}

// refusedRole opens the store as a user other than root, so that permissions apply.
func refusedRole(path string) error {
	if os.Geteuid() == 0 {
		if err := syscall.Setgid(65534); err != nil {
			return err
		}
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	s, err := sqlite.Open(path, nil)
	if err == nil {
		fmt.Println("opened")
		return s.Close()
	}
	fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
	_, err = sqlite.OpenVerifier(path, nil)
	fmt.Println(err)
	return nil
}

// lastLine hears each whole line that a child says until it ends, and returns the last.
func lastLine(out io.Reader, hear func(line string)) (last string) {
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return last
		}
		last = strings.TrimSuffix(line, "\n")
		hear(last)
	}
}
