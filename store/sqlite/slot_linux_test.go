package sqlite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// holdRole is a server that takes a slot and publishes nothing.
func holdRole(path string) error {
	s, _, err := childStore(path)
	if err != nil {
		return err
	}
	if _, err := s.TakeSlot(); err != nil {
		return err
	}
	fmt.Println("held")
	select {}
}

// revokeRole revokes the key whose id is in its environment.
func revokeRole(path string) error {
	_, m, err := childStore(path)
	if err != nil {
		return err
	}
	_, err = m.Revoke(context.Background(), os.Getenv("MCPKEYS_TEST_KEY"), "")
	return err
}

// remote is a key store with a server that holds a slot.
type remote struct {
	path string
	s    *sqlite.Store // of those who change keys
	slot *sqlite.Slot
	ids  []string
}

// newRemote takes the slot with a store of its own, as another process does.
func newRemote(t *testing.T, names ...string) *remote {
	t.Helper()
	r := &remote{path: create(t)}
	r.s = open(t, r.path)
	for _, name := range names {
		r.ids = append(r.ids, issue(t, r.s, admin.IssueRequest{Name: name}).Key.ID)
	}
	r.slot = takeSlot(t, open(t, r.path))
	return r
}

func takeSlot(t testing.TB, s *sqlite.Store) *sqlite.Slot {
	t.Helper()
	slot, err := s.TakeSlot()
	if err != nil {
		t.Fatalf("TakeSlot: %v", err)
	}
	t.Cleanup(func() { _ = slot.Close(false) })
	return slot
}

// publish publishes a floor in a slot that must be held.
func publish(t testing.TB, slot *sqlite.Slot, floor uint64) {
	t.Helper()
	if !slot.Publish(floor) {
		t.Fatal("Publish: the slot is lost")
	}
}

// position is where the store stands.
func position(t testing.TB, s *sqlite.Store) uint64 {
	t.Helper()
	return mustChanges(t, s, feed.Position{}).Next.Word
}

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
	if r.err != nil || r.Unheard != 1 || r.took < sqlite.Grace || r.Waited == 0 {
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
	if got.err != nil || got.Unheard != 0 || got.Waited >= sqlite.Grace || got.Everywhere.After(time.Now()) || got.Everywhere.IsZero() {
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

// A slot is free at first, and after a server that ended without leases. After one that was
// killed, or left leases, it is not.
func TestSlotWasFree(t *testing.T) {
	path := create(t)
	take := func() *sqlite.Slot { return takeSlot(t, open(t, path)) }
	first := take()
	if !first.WasFree() {
		t.Error("the first slot: was not free")
	}
	must(t, first.Close(true))
	second := take()
	if !second.WasFree() {
		t.Error("after a server without leases: was not free")
	}
	must(t, second.Close(false))
	third := take()
	if third.WasFree() {
		t.Error("after a server with leases: was free")
	}
	if fourth := take(); !fourth.WasFree() {
		t.Error("another slot: was not free")
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
	if got.err != nil || got.Waited != 0 || got.Everywhere.Before(begun.Add(time.Second)) || got.Everywhere.After(time.Now().Add(sqlite.Grace)) {
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

// A server is killed. Its guards may hold leases, so a change waits for those to end. Then the
// slot is free.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	path, ids := killedServer(t, "a", "b")
	s := open(t, path)
	mustWait(t, s, ids[0])
	if list, err := sqlite.Servers(t.Context(), path); err != nil || len(list) != 0 {
		t.Errorf("Servers: got %v, %v, want none", list, err)
	}
	mustNotWait(t, s, ids[1])
}

func killedServer(t *testing.T, names ...string) (path string, ids []string) {
	t.Helper()
	path = create(t)
	inStore(t, path, func(s *sqlite.Store) {
		for _, name := range names {
			ids = append(ids, issue(t, s, admin.IssueRequest{Name: name}).Key.ID)
		}
	})
	cmd := child(t, "hold", path)
	if line, err := bufio.NewReader(begin(t, cmd)).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the server said %q, %v", line, err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	return path, ids
}

// Two changes wait for a killed server at once: one closes its slot, and the other one waits
// until that is free.
func TestTwoChangesAtOnce(t *testing.T) {
	t.Parallel()
	path, ids := killedServer(t, "a", "b")
	var both sync.WaitGroup
	for _, id := range ids {
		s := open(t, path)
		both.Go(func() {
			if got := revoke(t.Context(), t, s, id, store.Wait{}); got.err != nil || got.took < 2*time.Second {
				t.Errorf("Revoke: got %v after %v, want it to wait for a lease", got.err, got.took)
			}
		})
	}
	both.Wait()
	if n := sqlite.SlotNonce(t, path, 0); n != 0 {
		t.Errorf("the slot has the nonce %x, want it free", n)
	}
}

// A program that closed the slot of a killed server is killed too. The slot stays closed, and
// the next change waits as long as the first one had to.
func TestKilledChange(t *testing.T) {
	t.Parallel()
	path, ids := killedServer(t, "a", "b", "c")
	cmd := child(t, "revoke", path)
	cmd.Env = append(cmd.Env, "MCPKEYS_TEST_KEY="+ids[0])
	must(t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); sqlite.SlotNonce(t, path, 0) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the slot was not closed")
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	s := open(t, path)
	mustWait(t, s, ids[1])
	mustNotWait(t, s, ids[2])
}

// A server that starts while a slot is closed takes another one.
func TestServerStartsBesideAClosedSlot(t *testing.T) {
	t.Parallel()
	path, ids := killedServer(t, "a")
	s := open(t, path)
	done := make(chan revoked, 1)
	go func() { done <- revoke(t.Context(), t, s, ids[0], store.Wait{}) }()
	for end := time.Now().Add(10 * time.Second); sqlite.SlotNonce(t, path, 0) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the slot was not closed")
		}
	}
	publish(t, takeSlot(t, s), sqlite.FloorNone)
	if list, err := sqlite.Servers(t.Context(), path); err != nil || len(list) != 2 || list[1].Slot != 1 || !list[1].Running {
		t.Errorf("Servers: got %+v, %v, want the new server in the second slot", list, err)
	}
	if got := <-done; got.err != nil || got.Unheard != 1 {
		t.Errorf("Revoke: got %v, %+v", got.err, got.Wait)
	}
}

// Without the file of locks a change takes the server for one that is not running, and the
// server must notice.
func TestFileOfLocksIsReplaced(t *testing.T) {
	for name, replace := range map[string]func(testing.TB, string){
		"removed":  remove,
		"replaced": replaceByCopy,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t)
			publish(t, r.slot, sqlite.FloorNone)
			replace(t, r.path+"-slots")
			if r.slot.Publish(sqlite.FloorNone) || r.slot.HandedOut(time.Now()) {
				t.Error("Publish or HandedOut: the slot is still held, want it lost")
			}
			must(t, r.slot.Renew())
			publish(t, r.slot, sqlite.FloorNone)
			if list, err := sqlite.Servers(t.Context(), r.path); err != nil || len(list) != 1 || !list[0].Running || list[0].Floor != sqlite.FloorNone {
				t.Errorf("Servers: got %+v, %v, want one without leases", list, err)
			}
		})
	}
}

// A change closes the slot of a server that lost its lock. The server then grants nothing,
// also where the file is back.
func TestServerThatLostItsLock(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a", "b")
	publish(t, r.slot, position(t, r.s))
	mustRename(t, r.path+"-slots", r.path+"-moved")
	mustWait(t, r.s, r.ids[0])
	mustRename(t, r.path+"-moved", r.path+"-slots")
	if r.slot.Publish(sqlite.FloorNone) {
		t.Error("Publish: the slot is still held, want it lost")
	}
	mustNotWait(t, r.s, r.ids[1])
}

// A server that lost its slot, and was paused, writes into the slot of the next one. Its floor
// does not count.
func TestPausedServerDoesNotWrite(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a")
	publish(t, r.slot, position(t, r.s))
	mustRename(t, r.path+"-slots", r.path+"-moved")
	next := takeSlot(t, open(t, r.path))
	publish(t, next, position(t, r.s))
	mustRename(t, r.path+"-slots", r.path+"-other")
	mustRename(t, r.path+"-moved", r.path+"-slots")
	if r.slot.Publish(sqlite.FloorNone) || r.slot.HandedOut(time.Now()) {
		t.Error("Publish or HandedOut: the slot is still held, want it lost")
	}
	if list, err := sqlite.Servers(t.Context(), r.path); err != nil || len(list) != 1 || list[0].Floor != position(t, r.s) {
		t.Errorf("Servers: got %+v, %v, want the floor of the next server", list, err)
	}
	mustRename(t, r.path+"-other", r.path+"-slots")
	publish(t, next, position(t, r.s))
	mustWait(t, r.s, r.ids[0])
	must(t, r.slot.Close(true)) // which must not free the slot of the next one
	publish(t, next, sqlite.FloorNone)
}

func TestSlotsRunOut(t *testing.T) {
	path := create(t)
	s := open(t, path)
	for range 16 {
		takeSlot(t, s)
	}
	if _, err := s.TakeSlot(); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "16 servers") {
		t.Errorf("TakeSlot: got %v, want that there are too many servers", err)
	}
	if list, err := sqlite.Servers(t.Context(), path); err != nil || len(list) != 16 {
		t.Errorf("Servers: got %d, %v, want 16", len(list), err)
	}
}

// A copy of a key store does not wait for the servers of the original.
func TestCopyHasNoSlots(t *testing.T) {
	t.Parallel()
	r := newRemote(t, "a")
	two := copyStore(t, r.path)
	if _, err := open(t, two).TakeSlot(); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "is a copy") {
		t.Errorf("TakeSlot in a copy: got %v, want that it is one", err)
	}
	mustMend(t, two)
	if list, err := sqlite.Servers(t.Context(), two); err != nil || len(list) != 0 {
		t.Errorf("Servers of the copy: got %v, %v, want none", list, err)
	}
	mustNotWait(t, open(t, two), r.ids[0])
	publish(t, r.slot, sqlite.FloorNone)
}

// The server has mapped another page since: the one that it took its slot in is used by no
// program that changes keys.
func TestEpochFileIsReplacedUnderASlot(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	slot := takeSlot(t, s)
	remove(t, path+"-epoch")
	mustMend(t, path)
	mustChanges(t, s, feed.Position{})
	if slot.Publish(sqlite.FloorNone) {
		t.Error("Publish: the slot is still held, want it lost")
	}
	must(t, slot.Renew())
	publish(t, slot, sqlite.FloorNone)
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
	if took := time.Since(begun); took < sqlite.Grace {
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
	soon, later := time.Now().Add(sqlite.Grace), time.Now().Add(time.Hour)
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

func TestServersTellTheList(t *testing.T) {
	r := newRemote(t)
	tell := func() string {
		t.Helper()
		list, err := sqlite.Servers(t.Context(), r.path)
		if err != nil || len(list) != 1 || !list[0].Running {
			t.Fatalf("Servers: got %+v, %v, want one that runs", list, err)
		}
		return string(list[0].List)
	}
	if got := tell(); got != "" {
		t.Errorf("Servers: got the list %s, want none", got)
	}
	for _, list := range []string{`[{"name":"one"}]`, `"` + strings.Repeat("x", sqlite.MostList-2) + `"`, `[]`} {
		must(t, r.slot.Describe([]byte(list)))
		if got := tell(); got != list {
			t.Errorf("Servers: got a list of %d bytes, want %d", len(got), len(list))
		}
	}
	if err := r.slot.Describe(make([]byte, sqlite.MostList+1)); err == nil {
		t.Error("Describe of a list that is too long: got no error")
	}
	must(t, r.slot.Renew()) // the list is of the nonce before
	if got := tell(); got != "" {
		t.Errorf("Servers: got the list %s of an earlier server, want none", got)
	}
	if info, err := os.Stat(filepath.Clean(r.path + "-slots")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s-slots: got %v, %v, want mode 0600", r.path, info, err)
	}
}

func TestFileOfLocksHasTheDatabasesMode(t *testing.T) {
	t.Setenv("MCPKEYS_ALLOW_GROUP", "1")
	path := create(t)
	chmod(t, path, 0o660)
	takeSlot(t, open(t, path))
	if info, err := os.Stat(path + "-slots"); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%s-slots: got %v, %v, want mode 0660", path, info, err)
	}
}

func TestSlotOfAClosedStore(t *testing.T) {
	path := create(t)
	s := open(t, path)
	slot := takeSlot(t, s)
	must(t, s.Close())
	if slot.Publish(sqlite.FloorNone) {
		t.Error("Publish after the store was closed: the slot is still held")
	}
	if _, err := s.TakeSlot(); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("TakeSlot: got %v, want ErrUnavailable", err)
	}
}

// The page is cut short under a server: it must not end the process.
func TestSlotInAPageThatIsCutShort(t *testing.T) {
	r := newRemote(t, "a")
	truncate(t, r.path+"-epoch", 0)
	if r.slot.Publish(sqlite.FloorNone) || r.slot.HandedOut(time.Now()) {
		t.Error("Publish or HandedOut: the slot is still held, want it lost")
	}
	if err := r.slot.Renew(); err == nil {
		t.Error("Renew: got no error, want that the page cannot be used")
	}
}

// BenchmarkFirstLook is what a change that takes something away pays without servers.
func BenchmarkFirstLook(b *testing.B) {
	s := open(b, create(b))
	for b.Loop() {
		sqlite.FirstLook(s)
	}
}
