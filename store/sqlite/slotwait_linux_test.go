package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// revoked is what came of a revocation, and how long it took.
type revoked struct {
	store.Wait
	took time.Duration
	err  error
}

func revoke(ctx context.Context, t testing.TB, s store.Store, id string, w store.Wait) revoked {
	t.Helper()
	r := revoked{Wait: w}
	begun := time.Now()
	_, r.err = manager(t, s).Revoke(store.WithWait(ctx, &r.Wait), id, "")
	r.took = time.Since(begun)
	return r
}

// mustWait revokes, and wants the longest wait.
func mustWait(t *testing.T, s store.Store, id string) {
	t.Helper()
	r := revoke(t.Context(), t, s, id, store.Wait{})
	if r.err != nil || r.Unheard != 1 || r.took < feed.LongestLease || r.Waited == 0 {
		t.Errorf("Revoke: got %v, %d unheard, after %v, want the longest wait for 1 server", r.err, r.Unheard, r.took)
	}
	if r.Everywhere.IsZero() || r.Everywhere.After(time.Now()) {
		t.Errorf("Revoke: everywhere from %v on, want a time that is over", r.Everywhere)
	}
}

// mustNotWait revokes, and wants no wait.
func mustNotWait(t *testing.T, s store.Store, id string) {
	t.Helper()
	r := revoke(t.Context(), t, s, id, store.Wait{})
	if r.err != nil || r.Unheard != 0 || r.Waited != 0 || r.Everywhere.IsZero() {
		t.Errorf("Revoke: got %v, %+v, want no wait", r.err, r.Wait)
	}
}

func TestChangeWaitsForTheFloor(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a")
	publish(t, r.slot, position(t, r.s))
	server := open(t, r.path)
	stop := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c, err := server.Changes(t.Context(), feed.Position{})
			if err != nil || !r.slot.Publish(c.Next.Word) {
				t.Errorf("the server follows: %v", err)
				return
			}
		}
	})
	got := revoke(t.Context(), t, r.s, r.ids[0], store.Wait{})
	close(stop)
	following.Wait()
	if got.err != nil || got.Unheard != 0 || got.Waited >= feed.LongestLease || got.Everywhere.After(time.Now()) || got.Everywhere.IsZero() {
		t.Errorf("Revoke: got %v, %+v, want it to end when the floor reached it", got.err, got.Wait)
	}
}

func TestChangeWaitsTheLongestTime(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *remote){
		"the floor is unknown":             func(*testing.T, *remote) {},
		"the floor is behind":              func(t *testing.T, r *remote) { publish(t, r.slot, position(t, r.s)) },
		"the floor does not fit":           func(t *testing.T, r *remote) { publish(t, r.slot, position(t, r.s)|1<<40) },
		"the floor of another generation":  func(t *testing.T, r *remote) { publish(t, r.slot, position(t, r.s)+1<<48) },
		"the server did not end cleanly":   func(t *testing.T, r *remote) { publish(t, r.slot, sqlite.FloorNone); must(t, r.slot.Close(false)) },
		"the floor was none, and is known": func(t *testing.T, r *remote) { publish(t, r.slot, sqlite.FloorNone); publish(t, r.slot, 1<<48) },
		"a server took the slot again":     func(t *testing.T, r *remote) { publish(t, r.slot, sqlite.FloorNone); must(t, r.slot.Renew()) },
		"it was revoked without a wait": func(t *testing.T, r *remote) {
			if got := revoke(t.Context(), t, r.s, r.ids[0], store.Wait{No: true}); got.err != nil || got.Waited != 0 {
				t.Errorf("Revoke: got %v, %+v", got.err, got.Wait)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, "a")
			prepare(t, r)
			mustWait(t, r.s, r.ids[0])
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestChangeDoesNotWait(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *remote){
		"there is no lease":        func(t *testing.T, r *remote) { publish(t, r.slot, sqlite.FloorNone) },
		"the server ended cleanly": func(t *testing.T, r *remote) { must(t, r.slot.Close(true)) },
		"the floor is beyond":      func(t *testing.T, r *remote) { publish(t, r.slot, position(t, r.s)+100) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t, "a")
			prepare(t, r)
			mustNotWait(t, r.s, r.ids[0])
		})
	}
}

// A change that takes nothing away does not wait, and says nothing about guards.
func TestWideningDoesNotWait(t *testing.T) {
	r := newRemote(t, "a")
	var w store.Wait
	name := "b"
	if _, err := manager(t, r.s).Edit(store.WithWait(t.Context(), &w), r.ids[0], admin.EditRequest{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if !w.Everywhere.IsZero() || w.Waited != 0 {
		t.Errorf("Edit: got %+v, want no wait", w)
	}
}

func TestChangeThatMustNotWait(t *testing.T) {
	r := newRemote(t, "a", "b")
	begun := time.Now()
	got := revoke(t.Context(), t, r.s, r.ids[0], store.Wait{No: true})
	if got.err != nil || got.Waited != 0 || got.Everywhere.Before(begun.Add(time.Second)) || got.Everywhere.After(time.Now().Add(feed.LongestLease)) {
		t.Errorf("Revoke: got %v, %+v, want it in effect about a lease after it returned", got.err, got.Wait)
	}
	publish(t, r.slot, sqlite.FloorNone)
	if got := revoke(t.Context(), t, r.s, r.ids[1], store.Wait{No: true}); got.err != nil || got.Everywhere.After(time.Now()) {
		t.Errorf("Revoke without leases: got %v, %+v, want it in effect", got.err, got.Wait)
	}
}

// An answer that may be kept is named, and not waited for, also when its server has ended.
func TestHandedOut(t *testing.T) {
	r := newRemote(t, "a")
	until := time.Now().Add(time.Hour)
	for _, at := range []time.Time{until, until.Add(-time.Minute)} {
		if !r.slot.HandedOut(at) {
			t.Fatal("HandedOut: the slot is lost")
		}
	}
	must(t, r.slot.Close(true))
	takeSlot(t, open(t, r.path))
	got := revoke(t.Context(), t, r.s, r.ids[0], store.Wait{No: true})
	if late := got.Everywhere.Sub(until); got.err != nil || late < 0 || late > time.Millisecond {
		t.Errorf("Revoke: got %v, everywhere %v after the answer ends, want not before and within a millisecond", got.err, late)
	}
}

func TestWaitIsGivenUp(t *testing.T) {
	r := newRemote(t, "a")
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	got := revoke(ctx, t, r.s, r.ids[0], store.Wait{})
	var written *store.WrittenError
	if !errors.As(got.err, &written) || !strings.Contains(got.err.Error(), "guards on other hosts") {
		t.Errorf("Revoke: got %v, want a WrittenError", got.err)
	}
	if k, err := r.s.Key(t.Context(), r.ids[0]); err != nil || k.RevokedAt.IsZero() {
		t.Errorf("Key: got %v, %v, want it revoked", k, err)
	}
}

// A repeated request waits, because the program that made the change may have ended before.
func TestReplayWaits(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a")
	m := manager(t, r.s)
	if _, err := m.Revoke(store.WithWait(word(t.Context(), "w"), &store.Wait{No: true}), r.ids[0], ""); err != nil {
		t.Fatal(err)
	}
	var w store.Wait
	_, err := m.Revoke(store.WithWait(word(t.Context(), "w"), &w), r.ids[0], "")
	var before *store.ReplayedError
	if !errors.As(err, &before) || w.Unheard != 1 || w.Everywhere.IsZero() {
		t.Errorf("Revoke again: got %v, %+v, want a ReplayedError after the longest wait", err, w)
	}
}

// A database shell marks a key as revoked, so that a revocation seems to take nothing away. Guards
// may remember the key as it was before.
func TestRevokeOfATamperedKeyWaits(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a")
	mustExec(t, shell(t, r.path), `UPDATE keys SET revoked_at = created_at`)
	mustWait(t, r.s, r.ids[0])
}

// A renewed digest takes nothing away, so it does not wait.
func TestRehashDoesNotWait(t *testing.T) {
	r := newRemote(t)
	issued := issue(t, r.s, admin.IssueRequest{Name: "a"})
	addPepper(t, r.s)
	k, err := r.s.Key(t.Context(), issued.Key.ID)
	must(t, err)
	peppers := r.s.Peppers()
	must(t, r.s.Rehash(t.Context(), peppers.Rehash(k, peppers.Verify(k, issued.Token), issued.Token), time.Now()))
	page, err := r.s.Audit(t.Context(), audit.Query{})
	if err != nil || page.Events[0].Action != audit.ActionRehash {
		t.Errorf("Audit: got %v, %v, want no row of a wait after the new digest", page.Events, err)
	}
}

func TestRetiredPepperWaits(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	old := r.s.Peppers().Current()
	addPepper(t, r.s)
	var w store.Wait
	if err := r.s.RemovePepper(store.WithWait(t.Context(), &w), old, time.Now(), pepperEvent(t)); err != nil || w.Unheard != 1 {
		t.Errorf("RemovePepper: got %v, %+v, want the longest wait", err, w)
	}
}

// A restore waits for leases, and then every floor of before is one of another generation.
func TestRestoreWaits(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "a")
	slot := takeSlot(t, open(t, h.path))
	floor := position(t, h.store)
	publish(t, slot, floor)
	begun := time.Now()
	h.restore(t, sqlite.RestoreOptions{})
	if took := time.Since(begun); took < feed.LongestLease {
		t.Errorf("Run: returned after %v, want it to wait for leases", took)
	}
	publish(t, slot, floor+100)
	mustWait(t, h.store, h.id("a"))
	publish(t, slot, sqlite.FloorNone)
}

// A change that waited for a server has a second audit row.
func TestEffectiveIsRecorded(t *testing.T) {
	r := newRemote(t, "a", "b")
	publish(t, r.slot, sqlite.FloorNone)
	mustNotWait(t, r.s, r.ids[0])
	page, err := r.s.Audit(t.Context(), audit.Query{})
	if err != nil || len(page.Events) < 2 {
		t.Fatalf("Audit: got %v, %v", page, err)
	}
	e, of := page.Events[0], page.Events[1]
	want := fmt.Sprintf(`{"row":%d,"key":%q,"position":"%d","waited_ms":0,"servers":1,"unheard":0}`, of.Seq, r.ids[0], position(t, r.s))
	if e.Action != audit.ActionEffective || of.Action != audit.ActionRevoke || e.Actor != of.Actor || e.Detail != want {
		t.Errorf("Audit: got %s by %s after %s, %s, want %s", e.Action, e.Actor, of.Action, e.Detail, want)
	}
	must(t, r.slot.Close(true))
	mustNotWait(t, r.s, r.ids[1])
	if page, err = r.s.Audit(t.Context(), audit.Query{}); err != nil || page.Events[0].Action != audit.ActionRevoke {
		t.Errorf("Audit without servers: got %v, %v, want no second row", page.Events[0], err)
	}
	wholeChain(t, r.s.Reader)
}

// The rows name the guards that confirmed a change, and the late ones, as the lists of the
// servers say. A list that another program wrote names nothing.
func TestEffectiveNamesGuards(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a", "b", "c")
	behind := position(t, r.s)
	publish(t, r.slot, behind)
	row := func(instance, audience string, applied uint64, ends time.Time) string {
		return fmt.Sprintf(`{"key_id":"AAAAAAAAAAAA","instance":%q,"audience":%q,"address":"192.0.2.7","applied":"%d","lease_ends":%q}`,
			instance, audience, applied, ends.Format(time.RFC3339Nano))
	}
	list := func(rows ...string) { must(t, r.slot.Describe([]byte("["+strings.Join(rows, ",")+"]"))) }
	soon, later := time.Now().Add(feed.LongestLease), time.Now().Add(time.Hour)
	list(row("00000001", "weather", behind+1000, later), row("00000002", "maps", behind, soon), row("00000003", "gone", behind, time.Now()),
		row("0000000x", "strange", behind, later), row("00000004", "a b", behind, later))
	want := func(what string, confirmed, late []string) {
		t.Helper()
		page, err := r.s.Audit(t.Context(), audit.Query{})
		if err != nil {
			t.Fatal(err)
		}
		var got audit.Effective
		if e := page.Events[0]; e.Action != audit.ActionEffective || json.Unmarshal([]byte(e.Detail), &got) != nil ||
			!slices.Equal(got.Confirmed, confirmed) || !slices.Equal(got.Late, late) {
			t.Errorf("%s: got %s %s, want %q confirmed and %q late", what, e.Action, e.Detail, confirmed, late)
		}
		if change := page.Events[1]; !strings.HasSuffix(change.Detail, `,"lease_s":2}`) {
			t.Errorf("%s: got the detail %s, want the lease", what, change.Detail)
		}
	}
	maps, weather := "maps (192.0.2.7, AAAAAAAAAAAA/00000002)", "weather (192.0.2.7, AAAAAAAAAAAA/00000001)"
	got := revoke(t.Context(), t, r.s, r.ids[0], store.Wait{})
	if got.err != nil || len(got.Late) != 1 || got.Late[0].String() != maps {
		t.Errorf("Revoke: got %v, %+v late, want the guard for maps", got.err, got.Late)
	}
	want("a guard that does not answer", []string{weather}, []string{maps})

	publish(t, r.slot, position(t, r.s))
	list(row("00000002", "maps", behind, later))
	done := make(chan revoked, 1)
	go func() { done <- revoke(t.Context(), t, r.s, r.ids[1], store.Wait{}) }()
	for !r.slot.Publish(behind+1000) || len(done) == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := <-done; got.err != nil || got.Unheard != 0 || len(got.Late) != 0 {
		t.Errorf("Revoke: got %v, %+v, want no guard late", got.err, got.Wait)
	}
	publish(t, r.slot, sqlite.FloorNone)
	must(t, r.slot.Close(true))
	if _, err := manager(t, r.s).Revoke(t.Context(), r.ids[2], ""); err != nil {
		t.Fatal(err)
	}
	wholeChain(t, r.s.Reader)
}

// BenchmarkFirstLook is what a change that takes something away pays without servers.
func BenchmarkFirstLook(b *testing.B) {
	s := open(b, create(b))
	for b.Loop() {
		sqlite.FirstLook(s)
	}
}
