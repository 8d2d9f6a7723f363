package stdio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

const (
	healthyAfter = 10 * time.Second // a process that ends earlier by itself counts as a failure
	longestWait  = time.Minute      // between starts for a key whose processes fail
	legacyFor    = time.Minute      // how long a failed server/discover is remembered
	busyWait     = 10 * time.Second // what clients are told to wait when no process may be started
	maxCallers   = 1024
)

// A caller is what is remembered of a key beside its sessions.
type caller struct {
	failures int
	until    time.Time // no start before
	legacy   time.Time // server/discover is refused before
}

// A busyError says that no process can be started now.
type busyError struct {
	perKey bool
	wait   time.Duration
	text   string
}

func (e *busyError) Error() string { return e.text }

// seconds is the wait for a Retry-After.
func (e *busyError) seconds() int { return max(1, int((e.wait+time.Second-1)/time.Second)) }

// reserve takes the place of a child for s. If there is none, the child that was idle for
// longest is ended first.
func (b *Backend) reserve(ctx context.Context, s *session) error {
	for {
		victim, err := b.tryReserve(s)
		if err != nil || victim == nil {
			return err
		}
		if !victim.endIfIdle("The session was idle, and its place was needed.") {
			continue
		}
		select {
		case <-victim.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryReserve returns nil, a session to wait for, or why there is no place.
func (b *Backend) tryReserve(s *session) (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &busyError{wait: busyWait, text: "The guard is stopping."}
	}
	if c := b.callers[s.keyID]; c != nil {
		if wait := c.until.Sub(clock()); wait > 0 {
			e := &busyError{wait: wait}
			e.text = fmt.Sprintf("The MCP server ended soon after each of its last %d starts. Try again in %d s.", c.failures, e.seconds())
			return nil, e
		}
	}
	mine := 0
	for o := range b.all {
		if o.keyID == s.keyID {
			mine++
		}
	}
	perKey := mine >= b.o.MaxPerKey
	if !perKey && len(b.all) < b.o.MaxChildren {
		b.all[s] = true
		return nil, nil
	}
	if victim := b.longestIdle(s.keyID, perKey); victim != nil {
		return victim, nil
	}
	e := &busyError{perKey: perKey, wait: busyWait}
	e.text = fmt.Sprintf("All %d processes of the MCP server are in use. Try again in %d s.", b.o.MaxChildren, e.seconds())
	if perKey {
		e.text = fmt.Sprintf("This key uses all %d of its sessions. End one of them, or try again in %d s.", b.o.MaxPerKey, e.seconds())
	}
	return nil, e
}

// longestIdle returns a session that ends already, or the one that was idle for longest.
func (b *Backend) longestIdle(keyID string, perKey bool) (found *session) {
	var since time.Time
	for s := range b.all {
		if perKey && s.keyID != keyID {
			continue
		}
		s.mu.Lock()
		ending, used, at := s.ending, s.uses > 0, s.idleAt
		s.mu.Unlock()
		if ending {
			return s
		}
		if !used && (found == nil || at.Before(since)) {
			found, since = s, at
		}
	}
	return found
}

var errStart = errors.New("the MCP server could not be started; the log of the guard says why")

// run starts the child of s, which has a place.
func (b *Backend) run(s *session, owner, name string) error {
	p, err := startProcess(b.o, b.account, s.keyID, b.account.environment(b.passed, s.keyID, owner, name))
	b.mu.Lock()
	if err != nil {
		err = b.startError(err)
		b.startAt = clock()
	}
	b.startErr = err
	if err == nil && !s.shared() {
		b.byID[s.id] = s
	}
	b.mu.Unlock()
	if err != nil {
		s.logger().Error("MCP server not started", slog.String("error", err.Error()))
		b.failure(s.keyID)
		return errStart
	}
	s.began = clock()
	s.child = newChild(b.o, s.logger(), p)
	s.child.run(s.line, s.childGone)
	return nil
}

// startError names what the system does not: it takes a directory that may not be entered for
// the program.
func (b *Backend) startError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	dir := b.o.Dir
	if dir == "" {
		dir, _ = os.Getwd()
	}
	return fmt.Errorf("start %s in %s as user %s: %w", b.o.Command[0], dir, b.account.name, err)
}

// failure delays the next start for a key, twice as long each time.
func (b *Backend) failure(keyID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.caller(keyID)
	c.failures++
	c.until = clock().Add(min(longestWait, time.Second<<min(c.failures-1, 10)))
}

// caller returns what is remembered of a key; b.mu is held.
func (b *Backend) caller(keyID string) *caller {
	if c := b.callers[keyID]; c != nil {
		return c
	}
	if len(b.callers) >= maxCallers {
		for id, c := range b.callers {
			if clock().After(c.until.Add(longestWait)) && clock().After(c.legacy) {
				delete(b.callers, id)
			}
		}
	}
	c := &caller{}
	b.callers[keyID] = c
	return c
}

// hide keeps requests from a session that ends.
func (b *Backend) hide(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[s.id] == s {
		delete(b.byID, s.id)
	}
	if b.byKey[s.keyID] == s {
		delete(b.byKey, s.keyID)
	}
}

// forget gives the place of an ended child to others.
func (b *Backend) forget(s *session) {
	b.hide(s)
	if s.child != nil && s.child.byItself() {
		s.mu.Lock()
		probe := s.probed && !s.answered // some servers end when they are asked server/discover
		s.mu.Unlock()
		switch {
		case probe:
		case clock().Sub(s.began) < healthyAfter:
			b.failure(s.keyID)
		default:
			b.mu.Lock()
			b.caller(s.keyID).failures = 0
			b.mu.Unlock()
		}
	}
	b.mu.Lock()
	delete(b.all, s)
	b.mu.Unlock()
}
