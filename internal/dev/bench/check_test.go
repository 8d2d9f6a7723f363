package bench_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/bench"
)

// Every case checks that it does what it measures, so running each once keeps make bench
// working.
func TestCasesDoWhatTheyClaim(t *testing.T) {
	list := cases(t, 5000)
	names := map[string]bool{}
	for _, c := range list {
		names[c.Name] = true
		n := 100
		if strings.Contains(c.Name, "Bcrypt") || strings.Contains(c.Name, "Argon") {
			n = 1
		}
		if err := c.Run(n); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	for _, c := range list {
		if c.Floor != "" && !names[c.Floor] {
			t.Errorf("%s: there is no floor %s", c.Name, c.Floor)
		}
		if c.Slack != 0 && c.Promise > c.Slack {
			t.Errorf("%s: promises %v and is checked for %v, which is less", c.Name, c.Promise, c.Slack)
		}
	}
}

func TestBrokenPromisesAreFound(t *testing.T) {
	promised := bench.Case{Name: "subject", Floor: "floor", Promise: 3, Slack: 4, NoAllocs: true}
	for _, c := range []struct {
		name   string
		result bench.Result
		kept   bool
	}{
		{"as promised", bench.Result{Case: promised, Work: 2.9}, true},
		{"within the slack", bench.Result{Case: promised, Work: 3.9}, true},
		{"too slow", bench.Result{Case: promised, Work: 4.1}, false},
		{"one allocation", bench.Result{Case: promised, Work: 2, Allocs: 1}, false},
		{"nothing promised", bench.Result{Case: bench.Case{Name: "floor"}, Work: 100, Allocs: 100}, true},
	} {
		if err := c.result.Kept(); (err == nil) != c.kept || err != nil && !errors.Is(err, bench.ErrBroken) {
			t.Errorf("Kept(%s): got %v, want kept %v", c.name, err, c.kept)
		}
	}
	for ratio, kept := range map[float64]bool{0.95: true, 0.71: true, 0.69: false} {
		pair := bench.Pair{Plain: bench.Run{CPU: 1000}, Guarded: bench.Run{CPU: time.Duration(1000 / ratio)}}
		if err := bench.KeptPairs([]bench.Pair{pair}); (err == nil) != kept {
			t.Errorf("KeptPairs(%v): got %v, want kept %v", ratio, err, kept)
		}
	}
}

// Work that is really done twice is measured as twice the floor's. Another program can spoil a
// measurement, but not each of many.
func TestMeasureFindsTheFactor(t *testing.T) {
	work := func(times int) func(int) error {
		return func(n int) error {
			for range n * times {
				x := 1.0
				for i := range 2000 {
					x = x*1.0001 + float64(i)
				}
				sink = x
			}
			return nil
		}
	}
	floor := bench.Case{Name: "once", Run: work(1)}
	var got []float64
	for range 50 {
		r, err := bench.Measure(bench.Case{Name: "twice", Floor: "once", Run: work(2)}, &floor, bench.Effort{Rounds: 15, Slice: 4 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, r.Work); r.Work > 1.6 && r.Work < 2.5 {
			return
		}
	}
	t.Errorf("Measure: got %v of work, want about 2", got)
}

var sink float64

// build builds the program that measures.
func build(t *testing.T) string {
	t.Helper()
	program := t.TempDir() + "/bench"
	if out, err := exec.Command("go", "build", "-o", program, "./cmd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// A figure is an error unless it measured what it claims: keys that are remembered, and a process that
// holds connections until it is told to end.
func TestFigures(t *testing.T) {
	s, err := bench.Open(t.Context(), t.TempDir(), 2000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	program := build(t)
	for _, f := range s.Figures(func(args ...string) *exec.Cmd { return exec.CommandContext(t.Context(), program, args...) }) {
		if f.Slack == 0 { // it is measured together with another one
			continue
		}
		if value, err := f.Measure(t.Context()); err != nil || value <= 0 {
			t.Errorf("%s: got %v, %v", f.Name, value, err)
		}
	}
}

// A refused load would measure how fast a guard refuses, so it must be an error.
func TestLoopback(t *testing.T) {
	s, err := bench.Open(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	program := build(t)
	client := func(addr string, request []byte) *exec.Cmd {
		c := exec.CommandContext(t.Context(), program, "load", addr, "50ms")
		c.Env = append(c.Environ(), "MCPKEYS_BENCH_REQUEST="+string(request))
		return c
	}
	pairs, err := s.Loopback(t.Context(), client, 1)
	if err != nil || len(pairs) != 1 || pairs[0].Guarded.Requests == 0 || pairs[0].Guarded.CPU == 0 {
		t.Errorf("Loopback: got %+v, %v, want one run of each", pairs, err)
	}
	without := func(addr string, request []byte) *exec.Cmd {
		return client(addr, []byte(strings.Replace(string(request), "Bearer mcpk_", "Bearer ", 1)))
	}
	if _, err = s.Loopback(t.Context(), without, 1); err == nil {
		t.Error("Loopback with a client that has no key: got no error")
	}
	pairs, err = s.GuardProxy(t.Context(), client, 1)
	if err != nil || len(pairs) != 1 || pairs[0].Guarded.Requests == 0 {
		t.Errorf("GuardProxy: got %+v, %v, want one run of each", pairs, err)
	}
	all, err := s.Answers(t.Context(), client, 1, func(string, bool) bool { return true })
	if err != nil || len(all) != 4 {
		t.Fatalf("Answers: got %+v, %v, want four", all, err)
	}
	for _, a := range all {
		if a.Pairs[0].Guarded.Requests == 0 {
			t.Errorf("Answers: %s answered nothing", a.Name)
		}
	}
}

// An answer is too slow if it takes more processor time than its slack allows, and only if
// something was promised of it.
func TestKeptAnswers(t *testing.T) {
	pair := func(part float64) []bench.Pair {
		ran := func(cpu time.Duration) bench.Run { return bench.Run{CPU: cpu} }
		return []bench.Pair{{Plain: ran(time.Millisecond), Guarded: ran(time.Duration(float64(time.Millisecond) / part))}}
	}
	for _, c := range []struct {
		answer bench.Answer
		kept   bool
	}{
		{bench.Answer{Name: "fast", Promised: true, Pairs: pair(0.6)}, true},
		{bench.Answer{Name: "slow", Promised: true, Pairs: pair(0.3)}, false},
		{bench.Answer{Name: "nothing promised", Pairs: pair(0.3)}, true},
	} {
		if err := bench.KeptAnswers([]bench.Answer{c.answer}); (err == nil) != c.kept {
			t.Errorf("KeptAnswers of %s: got %v, want kept: %v", c.answer.Name, err, c.kept)
		}
	}
}
