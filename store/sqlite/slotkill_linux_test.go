package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
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
	began := time.Now() // the second change may begin when the first one has waited for some time
	for _, id := range ids {
		s := open(t, path)
		both.Go(func() {
			got := revoke(t.Context(), t, s, id, store.Wait{})
			if took := time.Since(began); got.err != nil || took < 2*time.Second {
				t.Errorf("Revoke: got %v after %v, want it to wait for a lease", got.err, took)
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
