package mcpfront_test

import (
	"fmt"
	"testing"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// The 65th session of a key ends the one that was idle longest, and none that is in use. Other keys
// are not affected.
func TestSlots(t *testing.T) {
	var slots mcpfront.Slots
	ended := make(chan string, 100)
	open := func(key, id string) *mcpfront.Visit {
		v := slots.Visit(key)
		if !v.Reserve() || !v.Opened(id, func() { ended <- id }) {
			t.Fatalf("session %s of %s: no room", id, key)
		}
		return v
	}
	other := open("other", "theirs")
	other.Leave()
	visits := make([]*mcpfront.Visit, 64)
	for i := range visits {
		visits[i] = open("key", fmt.Sprint(i))
	}
	if v := slots.Visit("key"); v.Reserve() {
		t.Fatal("65 sessions in use were opened")
	}
	visits[7].Leave()
	visits[3].Leave()
	again := slots.Visit("key")
	if !again.Enter("7") {
		t.Fatal("a session that is open cannot be entered")
	}
	again.Leave() // now 3 is idle longest
	open("key", "64")
	if got := <-ended; got != "3" {
		t.Errorf("ended %s, want 3", got)
	}
	if slots.Visit("key").Enter("3") {
		t.Error("a session that is being ended was entered")
	}
	slots.Closed("64")
	open("key", "65")
	select {
	case got := <-ended:
		t.Errorf("%s was ended although there was room", got)
	default:
	}
}

// A reservation whose request ends without a session is given back, and so are subscriptions.
func TestRoomIsGivenBack(t *testing.T) {
	var slots mcpfront.Slots
	for range 200 {
		v := slots.Visit("key")
		if !v.Reserve() || !v.Listen() {
			t.Fatal("no room")
		}
		v.Leave()
		if v.Listen() {
			t.Fatal("a visit that is over listens")
		}
	}
	for i := range 65 {
		if got := slots.Visit("key").Listen(); got != (i < 64) {
			t.Errorf("subscription %d: got %v", i, got)
		}
	}
}
