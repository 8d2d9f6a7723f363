package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
)

// The promise about a guard over loopback: its part of the unguarded throughput.
const (
	GuardPromise = 0.90
	GuardSlack   = 0.70
)

// Pair is one run of the unguarded handler and one of the guarded, one after the other.
type Pair struct{ Plain, Guarded Run }

// Run is what one load did to one server.
type Run struct {
	Load
	CPU time.Duration // of the server's process, per request
}

// Ratio is the guarded part of the unguarded throughput.
func (p Pair) Ratio() float64 { return p.Guarded.PerSecond() / p.Plain.PerSecond() }

// PerWork is the same, of what each answers in a second of processor time.
func (p Pair) PerWork() float64 { return float64(p.Plain.CPU) / float64(p.Guarded.CPU) }

// Loopback serves the plain handler with a guard and without, on two ports, and loads each of
// them in turn from another process, made by load.
//
// The server gets one processor and the client another. The client is faster, since it builds
// and parses nothing ([Loader]): so the server limits the throughput, and the cost of the guard
// shows in full. The key has the defaults: without a rate limit, and so without its header
// fields.
func (s *Stage) Loopback(ctx context.Context, load Client, runs int) ([]Pair, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	issued, err := s.manager.Issue(ctx, admin.IssueRequest{Name: "loopback", Scopes: []string{needed}, Audience: []string{audience}})
	if err != nil {
		return nil, err
	}
	request := []byte(get("/", issued.Token.Reveal())) // of both, so that they read the same bytes
	bare, stopBare, err := listen(ctx, plain)
	if err != nil {
		return nil, err
	}
	defer stopBare()
	behind, stopBehind, err := listen(ctx, s.guard().Require(needed)(plain))
	if err != nil {
		return nil, err
	}
	defer stopBehind()
	return inTurn(bare, behind, request, load, runs)
}

// Client makes a process that loads a server with a request ([Loader]).
type Client func(addr string, request []byte) *exec.Cmd

func get(path, token string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\nAuthorization: Bearer " + token + "\r\nAccept-Encoding: gzip\r\n\r\n"
}

// inTurn loads two servers in turn.
func inTurn(bare, ours string, request []byte, load Client, runs int) (pairs []Pair, err error) {
	for range runs + 1 {
		var p Pair
		if p.Plain, err = under(load(bare, request)); err != nil {
			return nil, err
		}
		if p.Guarded, err = under(load(ours, request)); err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs[1:], nil // the first was to warm up
}

func listen(ctx context.Context, h http.Handler) (addr string, stop func(), err error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with Close
	return l.Addr().String(), func() { _ = server.Close() }, nil
}

// under runs the client and reads what it measured.
func under(client *exec.Cmd) (Run, error) {
	client.Stderr = os.Stderr
	before := processorTime()
	out, err := client.Output()
	spent := processorTime() - before
	if err != nil {
		return Run{}, fmt.Errorf("load: %w", err)
	}
	var r Run
	if err := json.Unmarshal(out, &r.Load); err != nil {
		return r, fmt.Errorf("load: %w", err)
	}
	if r.Requests == 0 {
		return r, errors.New("load: no request came to an end")
	}
	r.CPU = spent / time.Duration(r.Requests)
	return r, nil
}

// medianOf is the median of what of says about each pair.
func medianOf(pairs []Pair, of func(Pair) float64) float64 {
	var all []float64
	for _, p := range pairs {
		all = append(all, of(p))
	}
	return median(all)
}

// PrintPairs writes a line a run, and the medians.
func PrintPairs(w io.Writer, pairs []Pair) {
	fmt.Fprintf(w, "%-4s%-10s%12s%10s%10s%16s\n", "run", "handler", "requests/s", "p50", "p99", "CPU/request")
	for i, p := range pairs {
		p.Plain.print(w, i+1, "unguarded")
		p.Guarded.print(w, i+1, "guarded")
	}
	fmt.Fprintf(w, "guarded by unguarded, median of %d: %.1f %% of the requests/s (promised %.0f %%), %.1f %% of the requests per CPU time\n",
		len(pairs), 100*medianOf(pairs, Pair.Ratio), 100*GuardPromise, 100*medianOf(pairs, Pair.PerWork))
}

func (r Run) print(w io.Writer, number int, name string) {
	fmt.Fprintf(w, "%-4d%-10s%12.0f%10v%10v%16v\n", number, name, r.PerSecond(),
		r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond), r.CPU.Round(10*time.Nanosecond))
}

// KeptPairs returns an [ErrBroken] when the guarded handler is below the slack. Like
// [Check] it judges by processor time.
func KeptPairs(pairs []Pair) error {
	if got := medianOf(pairs, Pair.PerWork); got < GuardSlack {
		return fmt.Errorf("a guarded handler answers %.0f %% of what an unguarded one does in the same CPU time, less than %.0f %%: %w", 100*got, 100*GuardSlack, ErrBroken)
	}
	return nil
}
