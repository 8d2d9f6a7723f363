package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"
)

// The second part of the epoch page has slots for servers that grant leases to verifiers on
// other hosts. A server holds one slot, and publishes in it how far its verifiers have come:
// see [Slot]. A change that takes something away waits for the slots: see slotwait.go. The
// rules are in docs/adr/0012-leases-of-remote-verifiers.md.
//
// A slot has three words, and the rest of it is zero:
//
//	nonce   of the server that holds it; 0 if it is free, and 1 if it is closed: its server
//	        is not running, but leases that it granted may not have ended
//	floor   of the server whose nonce has the same highest 16 bits; see floorWord
//	handed  the latest time until which an answer of a server may be kept, in microseconds.
//	        It never goes back, also when another server takes the slot.
const (
	slotCount = 16
	slotsAt   = 1024
	slotSize  = 64

	slotNonce  = 0
	slotFloor  = 8
	slotHanded = 16

	slotFree   = 0
	slotClosed = 1

	mostHanded = 253402300799_000_000 // the year 9999
)

// Floors that are not positions.
const (
	// FloorUnknown says that it is not known which leases there are.
	FloorUnknown uint64 = 0
	// FloorNone says that there is no lease.
	FloorNone uint64 = math.MaxUint64
)

// A floor and the tag of its writer share one word, so that a floor of another server is
// never taken for one of the slot's holder: 16 bits of the nonce, 8 of the generation, and 40
// of the change. That is enough of the generation, because a restore waits until the leases
// of the generation before have ended, or have come to its own.
const (
	tagShift   = 48
	floorSeq   = 1<<40 - 1
	floorMask  = 1<<tagShift - 1
	floorNone  = floorMask
	termInWord = 40
)

// floorWord is what the server with the nonce writes for a floor. A position that does not
// fit becomes unknown.
func floorWord(nonce, floor uint64) uint64 {
	tag := nonce &^ floorMask
	if floor == FloorNone {
		return tag | floorNone
	}
	term, seq := floor>>seqBits, floor&(1<<seqBits-1)
	low := term&0xff<<termInWord | seq
	if seq > floorSeq || low == floorNone {
		return tag
	}
	return tag | low
}

// slotWords is what a slot says.
type slotWords struct{ nonce, floor, handed uint64 }

// tagged reports whether the floor was written by the server that holds the slot.
func (s slotWords) tagged() bool {
	return s.nonce != slotFree && s.nonce != slotClosed && s.nonce>>tagShift == s.floor>>tagShift
}

// reached reports whether no verifier of the slot's server can be behind the position. A
// floor of another generation is behind.
func (s slotWords) reached(position uint64) bool {
	if s.nonce == slotFree {
		return true
	}
	low := s.floor & floorMask
	if !s.tagged() || low == 0 {
		return false
	}
	return low == floorNone || low>>termInWord == position>>seqBits&0xff && low&floorSeq >= position&(1<<seqBits-1)
}

// position is the floor as a server published it. The page's word tells the generation.
func (s slotWords) position(page uint64) uint64 {
	low := s.floor & floorMask
	switch {
	case !s.tagged() || low == 0:
		return FloorUnknown
	case low == floorNone:
		return FloorNone
	}
	term := page >> seqBits
	return (term-(term-low>>termInWord)&0xff)<<seqBits | low&floorSeq
}

// until is when the last answer ends that was handed out.
func (s slotWords) until() time.Time {
	if s.handed == 0 || s.handed > mostHanded {
		return time.Time{}
	}
	return time.UnixMicro(int64(s.handed)).UTC()
}

// newNonce makes the nonce of a server that finds the floor word. The tag is another one, so
// that the word does not count for it.
func newNonce(floor uint64) uint64 {
	for {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		nonce := binary.NativeEndian.Uint64(random[:])
		if nonce > slotClosed && nonce>>tagShift != floor>>tagShift {
			return nonce
		}
	}
}

func slotAt(i int) int { return slotsAt + i*slotSize }

// slot reads a slot. The nonce comes first: a floor that was written for a nonce is there
// before it.
func (p *page) slot(i int) (s slotWords, ok bool) {
	ok = p.within(func(word func(at int) *atomic.Uint64) {
		s.nonce = word(slotAt(i) + slotNonce).Load()
		s.floor = word(slotAt(i) + slotFloor).Load()
		s.handed = word(slotAt(i) + slotHanded).Load()
	})
	return s, ok
}

func (p *page) setSlot(i, of int, n uint64) bool {
	return p.within(func(word func(at int) *atomic.Uint64) { word(slotAt(i) + of).Store(n) })
}

// swapSlot is false if the word is not was.
func (p *page) swapSlot(i, of int, was, n uint64) (swapped bool) {
	p.within(func(word func(at int) *atomic.Uint64) { swapped = word(slotAt(i)+of).CompareAndSwap(was, n) })
	return swapped
}

// raiseSlot makes the word at least n.
func (p *page) raiseSlot(i, of int, n uint64) bool {
	return p.within(func(word func(at int) *atomic.Uint64) { raise(word(slotAt(i)+of), n) })
}
