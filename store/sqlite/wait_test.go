package sqlite_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// What a change that waits does to others in its process.

// TestChecksPassAChangeThatWaits: a change that waited for its turn kept out who takes over
// another pepper file, and that kept out every check after it, for up to five seconds. The
// lock is still held when the checks have returned, and the change comes through after that.
func TestChecksPassAChangeThatWaits(t *testing.T) {
	for what, hold := range map[string]func(t *testing.T, s *sqlite.Store) (free func()){
		"for its turn": func(t *testing.T, s *sqlite.Store) func() { return holdLock(t, s.Path()) },
		"for a program that takes no turns": func(t *testing.T, s *sqlite.Store) func() {
			mustExec(t, s.Writer(), `PRAGMA busy_timeout = 60000`)
			db := shell(t, s.Path())
			mustExec(t, db, `BEGIN IMMEDIATE`)
			return func() { mustExec(t, db, `ROLLBACK`) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			s.SetPatience(time.Minute)
			free := hold(t, s)
			revoked := make(chan error, 1)
			go func() {
				_, err := manager(t, s).Revoke(t.Context(), id, "test")
				revoked <- err
			}()
			for !s.Busy() {
				time.Sleep(time.Millisecond)
			}
			replaceByCopy(t, path+".pepper")
			mustChanges(t, s, feed.Position{})
			if _, err := s.Key(t.Context(), id); err != nil {
				t.Errorf("Key: %v", err)
			}
			free()
			if err := <-revoked; err != nil {
				t.Errorf("Revoke: got %v, so it had ended before the checks returned", err)
			}
		})
	}
}

// TestWaitingChangeIsGivenUp: Ctrl+C did nothing while a change waited for others. Nothing is
// written by then, so it ends at once, also behind another that waits in the same process.
func TestWaitingChangeIsGivenUp(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	s.SetPatience(time.Minute)
	free := holdLock(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := manager(t, s).Revoke(ctx, id, "test")
		first <- err
	}()
	for !s.Busy() {
		time.Sleep(time.Millisecond)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if _, err := manager(t, s).Revoke(over, id, "test"); !errors.Is(err, context.Canceled) {
		t.Errorf("Revoke behind it: got %v, want it interrupted", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("Revoke: got %v, want it interrupted", err)
	}
	free()
	if k, err := s.Key(t.Context(), id); err != nil || !k.RevokedAt.IsZero() {
		t.Errorf("Key: got %+v, %v, want it as it was", k, err)
	}
	mustRevoke(t, s, id)
}

// TestInterruptedRestoreKeepsNobodyWaiting: each change waited for two seconds, with its turn,
// for a restore that was interrupted, so the next one waited for that as well. Who has the
// lock knows that no restore is running.
func TestInterruptedRestoreKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock moves only where everything sleeps
		path := create(t)
		s := open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
		var was uint64
		patchEpoch(t, path, 64, func(word uint64) uint64 { was = word; return 0 })
		began := time.Now()
		_, err := manager(t, s).Revoke(t.Context(), id, "test")
		if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "keyctl doctor --fix") {
			t.Errorf("Revoke: got %v, want unavailable with the way out", err)
		}
		if slept := time.Since(began); slept > 0 {
			t.Errorf("Revoke slept for %v", slept)
		}
		patchEpoch(t, path, 64, func(uint64) uint64 { return was }) // or the store could not be closed
	})
}

// TestChecksPassAChangeThatSettles: the epoch file has just replaced another one, so that the
// change waits for a lease until other processes have looked. Checks do not wait for it.
func TestChecksPassAChangeThatSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := create(t)
		s := open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
		unsettle(t, path)
		revoked := make(chan error, 1)
		go func() {
			_, err := manager(t, s).Revoke(t.Context(), id, "test")
			revoked <- err
		}()
		synctest.Wait() // it sleeps
		if len(revoked) > 0 || s.Busy() || s.Inside() {
			t.Errorf("the change is over: %v, has its turn: %v, is inside the gate: %v; want none of these", len(revoked) > 0, s.Busy(), s.Inside())
		}
		if err := <-revoked; err != nil {
			t.Errorf("Revoke: %v", err)
		}
	})
}
