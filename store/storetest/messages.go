package storetest

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// message is the message n of a sender: one use of the key, and one denial.
func message(caller string, sender uint64, n int64, id string) *usage.Message {
	m := &usage.Message{
		Caller: caller, N: n,
		Uses:    []usage.Use{{KeyID: id, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}}},
		Denials: []usage.Denial{denial(0, keys.CodeRevoked, 1)},
	}
	binary.BigEndian.PutUint64(m.Sender[:], sender)
	return m
}

func (f *fixture) addMessage(s store.MessageLog, m *usage.Message) {
	f.t.Helper()
	if err := s.AddMessage(f.t.Context(), m); err != nil {
		f.t.Fatalf("AddMessage(%s, %x, %d): %v", m.Caller, m.Sender, m.N, err)
	}
}

// wantCounted wants n messages to be counted of the key.
func (f *fixture) wantCounted(what, id string, n int64) {
	f.t.Helper()
	var want usage.Usage
	var denials []usage.Denial
	if n > 0 {
		want.Counts = []usage.Count{calls(hour, keys.CodeValid, "", n)}
		denials = []usage.Denial{denial(0, keys.CodeRevoked, n)}
	}
	f.wantUsage(what, f.store, id, time.Time{}, want)
	f.wantDenials(what, store.DenialQuery{}, denials...)
}

func messageIsCountedOnce(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.addMessage(f.another(), message("ann", 1, 1, id))
	f.wantCounted("the first", id, 1)
	f.addMessage(f.store, message("ann", 1, 3, id))
	f.addMessage(f.store, message("ann", 1, 2, id)) // it was given up, or is repeated
	f.wantCounted("a later one", id, 2)
	f.addMessage(f.store, message("ann", 2, 1, id))
	f.addMessage(f.store, message("bob", 1, 1, id))
	f.wantCounted("of another process, and of another verify key", id, 4)
	f.addMessage(f.store, &usage.Message{Caller: "ann", N: 1}) // nothing was counted
	if err := f.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.store = f.another()
	f.addMessage(f.store, message("ann", 1, 3, id))
	f.addMessage(f.store, message("ann", 0, 1, id))
	f.wantCounted("after a restart", id, 4)

	var wg sync.WaitGroup
	for range 4 {
		s := f.another()
		wg.Go(func() {
			for n := range int64(5) {
				if err := s.AddMessage(t.Context(), message("ann", 1, 4+n, id)); err != nil {
					t.Errorf("AddMessage(%d): %v", 4+n, err)
				}
			}
		})
	}
	wg.Wait()
	got, err := f.store.Usage(t.Context(), id, time.Time{})
	if err != nil || got.Calls() < 5 || got.Calls() > 9 {
		t.Errorf("five messages of four handles at once: got %d calls, %v, want each at most once, and the last", got.Calls(), err)
	}
}

func messageIsOneTransaction(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	badUse, badDenial := message("ann", 1, 1, id), message("ann", 1, 1, id)
	badUse.Uses = append(badUse.Uses, usage.Use{KeyID: id, Counts: []usage.Count{calls(hour, keys.CodeValid, "", -1)}})
	badDenial.Denials = append(badDenial.Denials, denial(0, "", 1))
	for what, m := range map[string]*usage.Message{"a bad use": badUse, "a bad denial": badDenial, "no number": message("ann", 1, 0, id)} {
		if err := f.store.AddMessage(t.Context(), m); err == nil {
			t.Errorf("AddMessage with %s: got no error", what)
		}
	}
	if err := f.store.AddMessage(cancelled(t), message("ann", 1, 1, id)); err == nil {
		t.Error("AddMessage with a cancelled context: got no error")
	}
	f.addUse(f.store, usage.Use{KeyID: id}) // makes sure that there is something to read
	f.wantCounted("after failures", id, 0)
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.wantCounted("repeated", id, 1)
	s := f.another()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.AddMessage(t.Context(), message("ann", 1, 2, id)); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("AddMessage after Close: got %v, want ErrUnavailable", err)
	}
}

func messageNumbersAreBounded(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	f.setClock(start)
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.addMessage(f.store, message("bob", 1, 1, id))
	f.setClock(start.Add(time.Second))
	for i := range uint64(usage.SendersKept) {
		f.addMessage(f.store, &usage.Message{Caller: "bob", N: 1, Sender: message("bob", i+2, 1, id).Sender})
	}
	f.wantCounted("two", id, 2)
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.wantCounted("after a flood of another verify key", id, 2)
	f.addMessage(f.store, message("bob", usage.SendersKept+1, 1, id))
	f.wantCounted("the newest of the flood", id, 2)
	f.addMessage(f.store, message("bob", 1, 1, id))
	f.wantCounted("the longest unused of the flood", id, 3)
	f.setClock(start.Add(usage.MessagesKept))
	f.addMessage(f.store, message("ann", 1, 1, id))
	f.wantCounted("at the limit", id, 3)
	f.setClock(start.Add(usage.MessagesKept + time.Second))
	f.addMessage(f.store, message("ann", 1, 1, id))
	got, err := f.store.Usage(t.Context(), id, time.Time{})
	if err != nil || got.Calls() != 4 {
		t.Errorf("after the limit: got %d calls, %v, want 4: the number is deleted", got.Calls(), err)
	}
}
