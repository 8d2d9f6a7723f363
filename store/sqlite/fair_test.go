package sqlite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
)

// roundsVar tells a writing child how many rounds it goes; it ends earlier when its
// standard input ends.
const roundsVar = "MCPKEYS_TEST_ROUNDS"

// waits is what one writer reports: how much it did, and the longest time that one
// change of each kind took.
type waits struct {
	Rounds         int
	Issue, Revoke  time.Duration
	Failed         int    // changes that failed
	Error          string // the first of them
	HighWaterKByte int    // memory
}

func (w *waits) note(longest *time.Duration, began time.Time, err error) {
	*longest = max(*longest, time.Since(began))
	if err != nil {
		if w.Failed++; w.Error == "" {
			w.Error = err.Error()
		}
	}
}

func (w *waits) add(other waits) {
	w.Rounds += other.Rounds
	w.Issue, w.Revoke = max(w.Issue, other.Issue), max(w.Revoke, other.Revoke)
	w.Failed += other.Failed
	if w.Error == "" {
		w.Error = other.Error
	}
}

// crowdRole is one of many processes that write: it issues a key and revokes it, round
// after round, from when the parent says so.
func crowdRole(path string) error {
	s, m, err := childStore(path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in)
	}()
	most, err := strconv.Atoi(os.Getenv(roundsVar))
	if err != nil {
		return err
	}
	var w waits
	for w.Rounds < most && !isClosed(ended) {
		w.round(m, fmt.Sprintf("%d %d", os.Getpid(), w.Rounds))
	}
	if err := json.NewEncoder(os.Stdout).Encode(w); err != nil {
		return err
	}
	return s.Close()
}

func (w *waits) round(m admin.Manager, name string) {
	ctx := context.Background()
	began := time.Now()
	issued, err := m.Issue(ctx, admin.IssueRequest{Name: name})
	w.note(&w.Issue, began, err)
	if err == nil {
		began = time.Now()
		_, err = m.Revoke(ctx, issued.Key.ID, "done")
		w.note(&w.Revoke, began, err)
	}
	w.Rounds++
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// writers are child processes that wait for the word to begin.
type writers struct {
	t     testing.TB
	procs []*writerProc
}

type writerProc struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startWriters(t *testing.T, path string, n, rounds int) *writers {
	t.Helper()
	w := &writers{t: t}
	for range n {
		cmd := child(t, "crowd", path)
		cmd.Env = append(cmd.Env, roundsVar+"="+strconv.Itoa(rounds))
		in, out := beginAsked(t, cmd)
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		w.procs = append(w.procs, &writerProc{cmd, in, bufio.NewReader(out)})
	}
	for _, p := range w.procs {
		if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("a writer said %q, %v, want ready", line, err)
		}
	}
	return w
}

func (w *writers) begin() {
	for _, p := range w.procs {
		_, _ = io.WriteString(p.in, "go\n")
	}
}

// end hears what each reports, at once if they are told to stop.
func (w *writers) end(stop bool) (all waits, each []waits) {
	w.t.Helper()
	if stop {
		for _, p := range w.procs {
			_ = p.in.Close()
		}
	}
	each = make([]waits, len(w.procs))
	var wg sync.WaitGroup
	for i, p := range w.procs {
		wg.Go(func() {
			if err := json.NewDecoder(p.out).Decode(&each[i]); err != nil {
				w.t.Errorf("a writer broke off: %v", err)
			}
			if err := p.cmd.Wait(); err != nil {
				w.t.Errorf("a writer: %v", err)
			}
		})
	}
	wg.Wait()
	for _, one := range each {
		all.add(one)
	}
	return all, each
}

// Many processes write at once. None of their changes fails because of the others: a revoke
// must not fail because the store is busy.
func TestCrowdOfProcesses(t *testing.T) {
	path := create(t)
	const processes = 32
	w := startWriters(t, path, processes, rounds(6, 1_000_000))
	began := time.Now()
	w.begin()
	soak := rounds(0, 1) == 1
	if soak {
		<-time.After(20 * time.Second)
	}
	all, each := w.end(soak)
	least, most := each[0].Rounds, each[0].Rounds
	for _, one := range each {
		least, most = min(least, one.Rounds), max(most, one.Rounds)
	}
	if all.Failed != 0 {
		t.Errorf("%d changes failed, first %s", all.Failed, all.Error)
	}
	t.Logf("%d processes: %d changes in %v, from %d to %d rounds each; the longest issue took %v, the longest revoke %v",
		processes, 2*all.Rounds, time.Since(began).Round(time.Millisecond), least, most, all.Issue.Round(time.Millisecond), all.Revoke.Round(time.Millisecond))
	s := open(t, path)
	if n := len(wholeChain(t, s.Reader)); n != 2*all.Rounds {
		t.Errorf("got %d audit rows, want %d", n, 2*all.Rounds)
	}
}
