package sqlite

import "testing"

func TestFloorWord(t *testing.T) {
	const nonce, other = 0xabcd_0000_0000_0007, 0xabce_0000_0000_0007
	at := func(term, seq uint64) uint64 { return term<<seqBits | seq }
	for name, c := range map[string]struct {
		floor, position uint64
		want            bool
	}{
		"at the position":                       {at(1, 5), at(1, 5), true},
		"beyond the position":                   {at(1, 6), at(1, 5), true},
		"behind the position":                   {at(1, 4), at(1, 5), false},
		"no lease":                              {FloorNone, at(1, 5), true},
		"unknown":                               {FloorUnknown, at(1, 5), false},
		"an earlier generation":                 {at(1, 9), at(2, 5), false},
		"a later generation":                    {at(3, 9), at(2, 5), false},
		"the last change that fits":             {at(1, floorSeq), at(1, floorSeq), true},
		"a floor that does not fit":             {at(1, floorSeq+1), at(1, 5), false},
		"a position that does not fit":          {at(1, floorSeq), at(1, floorSeq+1), false},
		"a floor that would read like no lease": {at(255, floorSeq), at(255, 5), false},
	} {
		s := slotWords{nonce: nonce, floor: floorWord(nonce, c.floor)}
		if got := s.reached(c.position); got != c.want {
			t.Errorf("%s: reached: got %t, want %t", name, got, c.want)
		}
		if s.floor>>tagShift != 0xabcd {
			t.Errorf("%s: the floor word %x does not have the tag of its writer", name, s.floor)
		}
		s.nonce = other
		if s.reached(c.position) {
			t.Errorf("%s, written by another server: reached: got true", name)
		}
		s.nonce = slotClosed
		if s.reached(c.position) {
			t.Errorf("%s, in a closed slot: reached: got true", name)
		}
		s.nonce = slotFree
		if !s.reached(c.position) {
			t.Errorf("%s, in a free slot: reached: got false", name)
		}
	}
}

// A closed slot has the nonce 1, whose tag is zero, like that of a floor word of zeros.
func TestClosedSlotIsNotReached(t *testing.T) {
	for _, s := range []slotWords{{nonce: slotClosed}, {nonce: slotClosed, floor: floorNone}} {
		if s.reached(0) {
			t.Errorf("%+v: reached: got true", s)
		}
	}
}

func TestFloorIsShownAsItWasPublished(t *testing.T) {
	const nonce = 0xabcd_0000_0000_0007
	for _, c := range []struct{ floor, page uint64 }{
		{1<<seqBits | 7, 1<<seqBits | 9}, {255<<seqBits | 7, 256<<seqBits | 9}, {FloorNone, 1 << seqBits}, {FloorUnknown, 1 << seqBits},
	} {
		s := slotWords{nonce: nonce, floor: floorWord(nonce, c.floor)}
		if got := s.position(c.page); got != c.floor {
			t.Errorf("position of %x: got %x", c.floor, got)
		}
	}
}

func TestNewNonceHasAnotherTag(t *testing.T) {
	for range 400_000 { // one tag in 65,536 is zero
		if n := newNonce(0); n>>tagShift == 0 || n <= slotClosed {
			t.Fatalf("newNonce(0): got %x", n)
		}
	}
}
