package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// Peer is another library, or one way to use ours, in a comparison.
type Peer struct {
	Name string
	run  func(time.Duration) (PeerRun, error)
	runs []PeerRun
}

// PeerRun is what one peer did in one turn, one call after the other.
type PeerRun struct {
	Calls   int
	Seconds float64
	P50     float64 // microseconds
}

// Peers lets the program of node check keys in turn with mcpkeys. The program answers as
// peers/verify.js does. All of them are called in process, without a network.
func (s *Stage) Peers(ctx context.Context, node *exec.Cmd, turns int, turn time.Duration) ([]Peer, error) {
	cases, err := s.Cases(ctx)
	if err != nil {
		return nil, err
	}
	theirs, stop, err := startNode(node)
	if err != nil {
		return nil, err
	}
	peers := []Peer{
		theirs,
		{Name: "mcpkeys, the key read from SQLite each time", run: oneByOne(find(cases, "VerifyMiss").Run)},
		{Name: "mcpkeys, the key remembered", run: oneByOne(find(cases, "VerifyHit").Run)},
	}
	return peers, errors.Join(takeTurns(peers, turns, turn), stop())
}

// takeTurns drops the first turn of each, which warms it up.
func takeTurns(peers []Peer, turns int, turn time.Duration) error {
	for n := range turns + 1 {
		for i := range peers {
			r, err := peers[i].run(turn)
			if err != nil {
				return fmt.Errorf("%s: %w", peers[i].Name, err)
			}
			if n > 0 {
				peers[i].runs = append(peers[i].runs, r)
			}
		}
	}
	return nil
}

// oneByOne times every single call, as the other side does, so the clock is part of
// what it measures.
func oneByOne(do func(n int) error) func(time.Duration) (PeerRun, error) {
	return func(d time.Duration) (PeerRun, error) {
		var took []time.Duration
		begin := time.Now()
		now := begin
		for now.Sub(begin) < d {
			if err := do(1); err != nil {
				return PeerRun{}, err
			}
			then := now
			now = time.Now()
			took = append(took, now.Sub(then))
		}
		slices.Sort(took)
		p50 := float64(took[len(took)/2]) / float64(time.Microsecond)
		return PeerRun{Calls: len(took), Seconds: now.Sub(begin).Seconds(), P50: p50}, nil
	}
}

// startNode starts the program and reads what it is.
func startNode(node *exec.Cmd) (p Peer, stop func() error, err error) {
	node.Stderr = os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		return p, nil, err
	}
	out, err := node.StdoutPipe()
	if err != nil {
		return p, nil, err
	}
	if err := node.Start(); err != nil {
		return p, nil, err
	}
	stop = func() error { return errors.Join(in.Close(), node.Wait()) }
	lines := bufio.NewScanner(out)
	var is struct{ Node, SQLite, BetterAuth, APIKey string }
	if err := readLine(lines, &is); err != nil {
		return p, nil, errors.Join(err, stop())
	}
	p.Name = fmt.Sprintf("better-auth %s, api-key %s, node:sqlite %s, Node %s", is.BetterAuth, is.APIKey, is.SQLite, is.Node)
	p.run = func(d time.Duration) (r PeerRun, err error) {
		if _, err := fmt.Fprintln(in, d.Seconds()); err != nil {
			return r, err
		}
		return r, readLine(lines, &r)
	}
	return p, stop, nil
}

func readLine(lines *bufio.Scanner, into any) error {
	if !lines.Scan() {
		return errors.Join(errors.New("it ended early"), lines.Err())
	}
	return json.Unmarshal(lines.Bytes(), into)
}

// PrintPeers writes a line a peer: the medians of its turns.
func PrintPeers(w io.Writer, peers []Peer) {
	fmt.Fprintf(w, "%12s%14s  %s\n", "calls/s", "p50", "who")
	for _, p := range peers {
		var rates, p50s []float64
		for _, r := range p.runs {
			rates, p50s = append(rates, float64(r.Calls)/r.Seconds), append(p50s, r.P50)
		}
		fmt.Fprintf(w, "%12.0f%11s µs  %s\n", median(rates), figure(median(p50s)), p.Name)
	}
}
