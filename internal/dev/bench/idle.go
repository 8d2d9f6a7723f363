package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

const (
	// holds is how many connections the idle guard has open.
	holds = 100
	// settle is how long it has time to begin its holds, and idle how long it is watched then.
	settle = time.Second
	idle   = 5 * time.Second
)

// Child makes a process that runs this program with the arguments. What is secret comes on its
// standard input.
type Child func(args ...string) *exec.Cmd

// Idle is what a guard without traffic did.
type Idle struct {
	WakeUps float64 // a second: how often a thread of the process gave its processor up and waited
}

// idleWakeUps has a child of its own hold connections, and asks it how often it woke up. This
// process, with its open stores, is not counted.
func (s *Stage) idleWakeUps(ctx context.Context, child Child) (float64, error) {
	c := child("idle", s.few)
	in, err := c.StdinPipe()
	if err != nil {
		return 0, err
	}
	go func() {
		defer func() { _ = in.Close() }()
		_ = json.NewEncoder(in).Encode(s.tokens[:holds]) // the child says if it did not get them
	}()
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return 0, fmt.Errorf("idle: %w", err)
	}
	var i Idle
	if err := json.Unmarshal(out, &i); err != nil {
		return 0, fmt.Errorf("idle: %w", err)
	}
	return i.WakeUps, nil
}

// RunIdle is the child: a guard over the key store at path with one open connection for each of
// the tokens, and no traffic.
func RunIdle(ctx context.Context, path string, tokens []string) (i Idle, err error) {
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		return i, err
	}
	defer func() { _ = r.Close() }()
	v, err := verifier.New(local.New(r, &local.Options{ReadOnly: true}), nil)
	if err != nil {
		return i, err
	}
	defer func() { _ = v.Close() }()
	for _, t := range tokens {
		d := v.Authenticate(ctx, t, call)
		if !d.Valid() {
			return i, fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
		defer v.Hold(d, call, nil, func(code keys.Code) { fmt.Fprintln(os.Stderr, "a hold ended:", code) })()
	}
	if err := wait(ctx, settle); err != nil {
		return i, err
	}
	began, before := time.Now(), waits()
	if err := wait(ctx, idle); err != nil {
		return i, err
	}
	i.WakeUps = float64(waits()-before) / time.Since(began).Seconds()
	return i, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
