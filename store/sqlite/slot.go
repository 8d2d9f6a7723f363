package sqlite

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// slotsPath is the file whose bytes the holders of slots lock. Behind its first page it has
// lists for people: see slotlist.go.
func slotsPath(database string) string { return database + "-slots" }

// Slot is where a server that grants leases to verifiers on other hosts tells all programs
// that change keys how far its verifiers have come. It is safe for concurrent use.
//
// A slot stays with the files that it was taken in. If another epoch page is in use since, or
// the file of locks was removed or replaced, the slot is lost: see [Slot.Renew].
type Slot struct {
	store *Store

	mu     sync.Mutex // guards what follows
	page   *page      // nil: it holds no slot
	file   *lockFile
	number int
	nonce  uint64
	floor  uint64 // the word that this server wrote last
	free   bool   // it was free when it was taken
}

// TakeSlot takes a slot for a server, with an unknown floor. Unless [Slot.WasFree], it must stay
// unknown until leases that another server granted in the slot before have ended: for
// [feed.Bounds].Lease and 5 % from now. On systems other than Linux the error is [errors.ErrUnsupported].
//
// Close the slot before the store.
func (s *Store) TakeSlot() (*Slot, error) {
	slot := &Slot{store: s}
	if err := slot.take(); err != nil {
		return nil, err
	}
	return slot, nil
}

// WasFree reports whether the slot was free when it was taken. A slot is free only if all of its
// leases have ended: each change waits for the leases of another one.
func (s *Slot) WasFree() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free
}

// Renew takes a slot again, with a new nonce and an unknown floor, as [Store.TakeSlot] does.
func (s *Slot) Renew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letGo()
	return s.take()
}

// Close gives the slot up. Free says that no lease is left. Otherwise the next change that
// takes something away waits until all leases of the slot have ended.
func (s *Slot) Close(free bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page == nil {
		return nil
	}
	if free {
		s.page.swapSlot(s.number, slotNonce, s.nonce, slotFree)
	} else {
		s.page.swapSlot(s.number, slotFloor, s.floor, floorWord(s.nonce, FloorUnknown))
	}
	s.letGo()
	return nil
}

// letGo frees the lock. What the slot says stays, and counts for programs that change keys.
func (s *Slot) letGo() {
	if s.page != nil {
		s.file.close()
		s.page, s.file = nil, nil
	}
}

func (s *Slot) take() error {
	if !canHold {
		return fmt.Errorf("servers for other hosts need Linux: %w", errors.ErrUnsupported)
	}
	if err := s.store.gate.refuseShut(); err != nil {
		return err
	}
	e := &s.store.epoch
	if !e.current() {
		e.open(true)
	}
	p := e.now.Load().page
	if _, err := e.standing(); err != nil || p == nil {
		return fmt.Errorf("%w: %s %w", keys.ErrUnavailable, e.path, err)
	}
	path := slotsPath(s.store.path)
	f := openSlots(s.store.path)
	if f == nil {
		return fmt.Errorf("%w: this user may not open %s; run as the user that owns it", keys.ErrUnavailable, path)
	}
	number, err := lockAny(f, path)
	if err == nil && !f.isAt(path) {
		err = fmt.Errorf("%w: %s was replaced; try again", keys.ErrUnavailable, path)
	}
	if err == nil {
		err = s.enter(p, number)
	}
	if err != nil {
		f.close()
		return err
	}
	s.page, s.file, s.number = p, f, number
	return nil
}

// openSlots opens the file, or makes it. It returns nil if it cannot.
func openSlots(database string) *lockFile {
	f := openLock(slotsPath(database))
	if f != nil {
		f.like(database)
	}
	return f
}

// lockAny locks the first byte that no other server, and no change, has locked.
func lockAny(f *lockFile, path string) (number int, err error) {
	for i := range slotCount {
		locked, err := f.tryByte(i)
		if err != nil {
			return 0, fmt.Errorf("%w: lock %s: %w", keys.ErrUnavailable, path, err)
		}
		if locked {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: %d servers of this key store are running, which is the most; stop one of them", keys.ErrUnavailable, slotCount)
}

// enter writes the floor before the nonce: from the nonce on the slot is this server's.
func (s *Slot) enter(p *page, number int) error {
	was, ok := p.slot(number)
	if !ok {
		return errCutShort
	}
	s.free = was.nonce == slotFree
	s.nonce = newNonce(was.floor)
	s.floor = floorWord(s.nonce, FloorUnknown)
	if !p.setSlot(number, slotFloor, s.floor) || !p.setSlot(number, slotNonce, s.nonce) {
		return errCutShort
	}
	return nil
}

// Publish makes floor the slot's floor: the lowest position that a verifier with a lease may
// still stand at, [FloorNone] if there is no lease, or [FloorUnknown]. It then reports whether
// the slot is still this server's. If not, nothing may be granted before Renew has succeeded.
func (s *Slot) Publish(floor uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inPlace() {
		return false
	}
	// A server that was paused must not overwrite the floor of the slot's next holder, so the
	// word changes only if it is what this server wrote last.
	word := floorWord(s.nonce, floor)
	if !s.page.swapSlot(s.number, slotFloor, s.floor, word) {
		return false
	}
	s.floor = word
	return s.own()
}

// HandedOut publishes that a program may keep an answer until then. The time never goes back.
// It reports like Publish.
func (s *Slot) HandedOut(until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inPlace() {
		return false
	}
	if at := until.UnixMicro(); at > 0 && !s.page.raiseSlot(s.number, slotHanded, uint64(at)+1) { // one more, because a part of a microsecond was cut off
		return false
	}
	return s.own()
}

// inPlace reports whether programs that change keys see the page and the file of the slot.
func (s *Slot) inPlace() bool {
	return s.page != nil && s.store.epoch.now.Load().page == s.page && s.file.isAt(slotsPath(s.store.path))
}

// own reports whether the slot has the nonce of this server.
func (s *Slot) own() bool {
	is, ok := s.page.slot(s.number)
	return ok && is.nonce == s.nonce
}
