package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

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
