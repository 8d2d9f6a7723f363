package leases

import (
	"errors"
	"math"
	"time"
)

// Floors that are not positions.
const (
	FloorUnknown uint64 = 0              // the server does not know all leases
	FloorNone    uint64 = math.MaxUint64 // there is no lease
)

// Slot is where a server tells the programs that change keys what its verifiers have applied.
// It outlives the server. A [Registry] makes one call at a time.
type Slot interface {
	// WasFree reports whether the slot was free when it was taken. Otherwise leases of an earlier
	// server may be left in it, and the floor is unknown until they have ended.
	WasFree() bool
	// Publish makes floor the slot's floor, and then reports whether the slot is still this
	// server's: if not, nothing may be granted before Renew has succeeded.
	Publish(floor uint64) bool
	// HandedOut publishes that an answer may be kept until then; it never goes back. It
	// reports like Publish.
	HandedOut(until time.Time) bool
	// Describe stores a list for people (JSON), which decides nothing.
	Describe(list []byte) error
	// Renew takes a slot again, with a new nonce and an unknown floor.
	Renew() error
	// Close gives the slot up. Free says that no lease is left; otherwise the slot stays
	// unknown to committers until they have waited.
	Close(free bool) error
}

// NoSlot is the Slot of a server that has none. Such a server grants no lease, so its verifiers
// ask for each request.
type NoSlot struct {
	// Expected says that the programs that change keys know that no server can have a slot, and
	// expect each answer to be kept.
	Expected bool
}

// WasFree implements [Slot].
func (NoSlot) WasFree() bool { return false }

// Publish implements [Slot].
func (NoSlot) Publish(uint64) bool { return false }

// HandedOut implements [Slot].
func (s NoSlot) HandedOut(time.Time) bool { return s.Expected }

// Describe implements [Slot].
func (NoSlot) Describe([]byte) error { return nil }

// Renew implements [Slot].
func (NoSlot) Renew() error { return errNoSlot }

// Close implements [Slot].
func (NoSlot) Close(bool) error { return nil }

var errNoSlot = errors.New("this server has no slot in the key store")
