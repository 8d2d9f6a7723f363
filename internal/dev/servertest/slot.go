package servertest

import (
	"errors"
	"sync"
	"time"
)

// Slot is a slot in memory, for one server.
type Slot struct {
	mu     sync.Mutex
	lost   bool
	floor  uint64
	handed time.Time
}

// Lose has the server lose the slot, without getting another one.
func (s *Slot) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
}

// Floor is what a program that changes a key reads.
func (s *Slot) Floor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor
}

// Handed is until when an answer may be kept.
func (s *Slot) Handed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handed
}

// WasFree implements leases.Slot.
func (s *Slot) WasFree() bool { return true }

// Publish implements leases.Slot.
func (s *Slot) Publish(floor uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = floor
	return !s.lost
}

// HandedOut implements leases.Slot.
func (s *Slot) HandedOut(until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed = until
	return !s.lost
}

// Describe implements leases.Slot.
func (s *Slot) Describe([]byte) error { return nil }

// Renew implements leases.Slot.
func (s *Slot) Renew() error { return errors.New("all slots are taken") }

// Close implements leases.Slot.
func (s *Slot) Close(bool) error { return nil }
