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
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

const (
	// holds is how many connections the idle guard has open.
	holds = 100
	// settle is how long it has time to begin its holds, and watched how long it is watched then.
	settle  = time.Second
	watched = 5 * time.Second
	// glance is how often it is looked at.
	glance = 5 * time.Millisecond
)

// Child makes a process that runs this program with the arguments. What is secret comes on its
// standard input.
type Child func(args ...string) *exec.Cmd

// quiet is what a guard without traffic did in a second.
type quiet struct {
	wakeUps  float64 // of the glances, before how many it had run: what runs at once counts once
	switches float64 // how often a thread gave its processor up because it had nothing to do
}

// idle has a child hold connections, and watches it from outside. This process, with its open
// stores, is not counted.
func (s *Stage) idle(ctx context.Context, child Child) (q quiet, err error) {
	c := child("idle", s.few)
	in, err := c.StdinPipe()
	if err != nil {
		return q, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return q, err
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return q, err
	}
	err = json.NewEncoder(in).Encode(s.tokens[:holds])
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err == nil {
		q, err = watch(ctx, c.Process.Pid)
	}
	return q, errors.Join(err, in.Close(), c.Wait()) // the child ends with its input
}

// watch looks at a process again and again.
func watch(ctx context.Context, pid int) (q quiet, err error) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	began := time.Now()
	first, err := switches(pid)
	for last := first; err == nil && time.Since(began) < watched; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return q, context.Cause(ctx)
		}
		var now int64
		if now, err = switches(pid); now != last {
			q.wakeUps++
		}
		last, q.switches = now, float64(now-first)
	}
	seconds := time.Since(began).Seconds()
	q.wakeUps, q.switches = q.wakeUps/seconds, q.switches/seconds
	return q, err
}

// switches is the sum of the voluntary context switches of all threads of a process.
func switches(pid int) (sum int64, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%w: the idle process is gone", errWrong)
	}
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		if readErr != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		field, _, _ := strings.Cut(rest, "\n")
		n, numErr := strconv.ParseInt(strings.TrimSpace(field), 10, 64)
		sum, err = sum+n, errors.Join(err, numErr)
	}
	return sum, err
}

// RunIdle is the child: a guard over the key store at path with one open connection for each of
// the tokens that in begins with, and no traffic, until in ends.
func RunIdle(ctx context.Context, path string, in io.Reader, out io.Writer) error {
	var tokens []string
	if err := json.NewDecoder(in).Decode(&tokens); err != nil {
		return fmt.Errorf("idle: read tokens: %w", err)
	}
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	v, err := verifier.New(local.New(r, &local.Options{ReadOnly: true}), nil)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	for _, t := range tokens {
		d := v.Authenticate(ctx, t, call)
		if !d.Valid() {
			return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
		defer v.Hold(d, call, nil, func(code keys.Code) { fmt.Fprintln(os.Stderr, "a hold ended:", code) })()
	}
	time.Sleep(settle)
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
