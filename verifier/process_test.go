package verifier_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// The tests of revoke_test.go need other processes: this binary, started again with a
// role in the environment. What they tell each other are instants on the machine's
// clock. A server notes, for each key, when the last check began that it accepted;
// the revoker notes when each revoke had returned.
const roleVar = "MCPKEYS_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func(dir string) error{"server": serverRole, "revoker": revokerRole, "counter": counterRole}
	role, ok := roles[os.Getenv(roleVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fleet is the key store, its keys, and the processes that use it.
type fleet struct {
	dir  string
	keys []fleetKey
}

// fleetKey is what the other processes are told of a key, in a file of the test's.
type fleetKey struct{ ID, Token string }

func (f *fleet) path() string { return f.dir + "/keys.db" }

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir()}
	if err := sqlite.Create(f.path(), nil); err != nil {
		t.Fatal(err)
	}
	m, closeStore := f.manager(t)
	defer closeStore()
	for i := range n {
		issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		if err != nil {
			t.Fatal(err)
		}
		f.keys = append(f.keys, fleetKey{issued.Key.ID, issued.Token.Reveal()})
	}
	text, err := json.Marshal(f.keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.dir+"/keys.json", text, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) manager(t testing.TB) (m admin.Manager, closeStore func()) {
	t.Helper()
	s, err := sqlite.Open(f.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err = admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, func() { _ = s.Close() }
}

// joinFleet is newFleet in another process.
func joinFleet(dir string) (*fleet, error) {
	f := &fleet{dir: dir}
	text, err := os.ReadFile(dir + "/keys.json")
	if err != nil {
		return nil, err
	}
	return f, json.Unmarshal(text, &f.keys)
}

// start runs a role. What it prints comes line by line.
func (f *fleet) start(t *testing.T, role string) (cmd *exec.Cmd, stdin io.Closer, lines *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0], f.dir)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines = bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return cmd, in, lines
}

// report is what a server prints in the end.
type report struct {
	Accepted []int64 // per key: when the last accepted check began, nanoseconds since 1970
	Checks   int64
	Reads    int64
}

// serverRole checks the keys without a pause until its input ends: one goroutine all
// of them in turn, another always the first that has not ended yet.
func serverRole(dir string) error {
	f, err := joinFleet(dir)
	if err != nil {
		return err
	}
	r, err := sqlite.OpenVerifier(f.path(), nil)
	if err != nil {
		return err
	}
	s := &server{fleet: f, reader: &counting{Reader: r}, accepted: make([]atomic.Int64, len(f.keys))}
	if s.v, err = verifier.New(local.New(s.reader, nil), nil); err != nil {
		return err
	}
	s.round() // so that all are remembered
	fmt.Println("ready")
	var load sync.WaitGroup
	load.Go(func() {
		for !s.over.Load() {
			s.round()
		}
	})
	load.Go(func() {
		for i := 0; !s.over.Load(); {
			if !s.check(i) && i < len(f.keys)-1 {
				i++
			}
		}
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.over.Store(true)
	load.Wait()
	out := report{Checks: s.checks.Load(), Reads: s.reader.reads.Load()}
	for i := range s.accepted {
		out.Accepted = append(out.Accepted, s.accepted[i].Load())
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

type server struct {
	*fleet
	v        *verifier.Verifier
	reader   *counting
	accepted []atomic.Int64
	checks   atomic.Int64
	over     atomic.Bool
}

func (s *server) round() {
	for i := range s.keys {
		s.check(i)
	}
}

// check reports whether the key may still be good.
func (s *server) check(i int) bool {
	began := time.Now().UnixNano()
	d := s.v.Authenticate(context.Background(), s.keys[i].Token, verifier.Call{})
	s.checks.Add(1)
	for d.Valid() {
		last := s.accepted[i].Load()
		if last >= began || s.accepted[i].CompareAndSwap(last, began) {
			break
		}
	}
	return d.Code != keys.CodeRevoked
}

// revokerRole revokes what its input names, and says after each when it was done.
func revokerRole(dir string) error {
	f, err := joinFleet(dir)
	if err != nil {
		return err
	}
	s, err := sqlite.Open(f.path(), nil)
	if err != nil {
		return err
	}
	m, err := admin.NewLocal(s, "revoker", nil)
	if err != nil {
		return err
	}
	for i := range f.keys {
		if _, err := os.Stat(f.done(i)); err == nil {
			continue // said by a revoker before this one
		}
		if _, err := m.Revoke(context.Background(), f.keys[i].ID, "test"); err != nil {
			return err
		}
		fmt.Println(i, time.Now().UnixNano())
	}
	return s.Close()
}

// done is a file that is there when the test has heard of the key's revocation.
func (f *fleet) done(i int) string { return fmt.Sprintf("%s/done-%d", f.dir, i) }

// servers starts n of them, and returns how to stop one and read what it counted.
func (f *fleet) servers(t *testing.T, n int) (list []*exec.Cmd, reports func() []report) {
	t.Helper()
	var inputs []io.Closer
	var outputs []*bufio.Scanner
	for range n {
		cmd, in, lines := f.start(t, "server")
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("server: got %q, want ready", lines.Text())
		}
		list, inputs, outputs = append(list, cmd), append(inputs, in), append(outputs, lines)
	}
	return list, func() []report {
		t.Helper()
		var out []report
		for i, in := range inputs {
			_ = in.Close()
			var r report
			if !outputs[i].Scan() || json.NewDecoder(strings.NewReader(outputs[i].Text())).Decode(&r) != nil {
				t.Fatalf("server %d: no report", i)
			}
			out = append(out, r)
		}
		return out
	}
}

func signal(t testing.TB, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
