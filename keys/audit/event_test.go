package audit_test

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func chainOf(n int) []audit.Event {
	var events []audit.Event
	var prev *audit.Event
	for i := range n {
		e := audit.Event{
			ID: uuid.UUID{byte(i)}, At: noon.Add(time.Duration(i) * time.Second), Actor: "local:a(1)",
			Action: audit.ActionIssue, KeyID: "aaaaaaaaaaaa", RequestID: "r", Detail: `{"after":{}}`,
		}
		e.Link(prev)
		events = append(events, e)
		prev = &events[len(events)-1]
	}
	return events
}

func stream(events []audit.Event) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestChainVerifies(t *testing.T) {
	if head, err := audit.VerifyChain(stream(nil)); head != nil || err != nil {
		t.Errorf("VerifyChain of no rows: got %v, %v", head, err)
	}
	if head, err := audit.VerifyChain(stream(chainOf(5))); err != nil || head.Seq != 5 {
		t.Errorf("VerifyChain: got %v, %v", head, err)
	}
}

// TestA27ChainNamesTheRow: an attacker with a database shell covers a trace. Any
// field changed, any row removed, repeated, moved or slipped in is named.
func TestA27ChainNamesTheRow(t *testing.T) {
	for name, row := range map[string]struct {
		edit func([]audit.Event) []audit.Event
		seq  int64
	}{
		"actor":      {func(e []audit.Event) []audit.Event { e[2].Actor = "local:b(2)"; return e }, 3},
		"action":     {func(e []audit.Event) []audit.Event { e[2].Action = audit.ActionRevoke; return e }, 3},
		"key":        {func(e []audit.Event) []audit.Event { e[2].KeyID = "bbbbbbbbbbbb"; return e }, 3},
		"request":    {func(e []audit.Event) []audit.Event { e[2].RequestID = "s"; return e }, 3},
		"detail":     {func(e []audit.Event) []audit.Event { e[2].Detail = `{}`; return e }, 3},
		"time":       {func(e []audit.Event) []audit.Event { e[2].At = e[2].At.Add(time.Microsecond); return e }, 3},
		"id":         {func(e []audit.Event) []audit.Event { e[2].ID[15]++; return e }, 3},
		"prev":       {func(e []audit.Event) []audit.Event { e[2].Prev[0]++; return e }, 3},
		"hash":       {func(e []audit.Event) []audit.Event { e[2].Hash = slices.Clone(e[1].Hash); return e }, 3},
		"rehashed":   {func(e []audit.Event) []audit.Event { e[2].Actor = "x"; e[2].Link(&e[1]); return e }, 4},
		"removed":    {func(e []audit.Event) []audit.Event { return slices.Delete(e, 2, 3) }, 3},
		"renumbered": {func(e []audit.Event) []audit.Event { e = slices.Delete(e, 2, 3); e[2].Seq, e[3].Seq = 3, 4; return e }, 3},
		"first":      {func(e []audit.Event) []audit.Event { return e[1:] }, 1},
		"swapped":    {func(e []audit.Event) []audit.Event { e[1], e[2] = e[2], e[1]; return e }, 2},
		"repeated":   {func(e []audit.Event) []audit.Event { return slices.Insert(e, 2, e[1]) }, 3},
		"field moved": {func(e []audit.Event) []audit.Event {
			e[2].KeyID, e[2].RequestID = "aaaaaaaaaaaar", ""
			return e
		}, 3},
	} {
		_, err := audit.VerifyChain(stream(row.edit(chainOf(5))))
		var chain *audit.ChainError
		if !errors.As(err, &chain) || chain.Seq != row.seq {
			t.Errorf("VerifyChain with %s edited: got %v, want row %d named", name, err, row.seq)
		}
	}
}

func TestChainPassesErrorsOn(t *testing.T) {
	broken := errors.New("cannot read")
	_, err := audit.VerifyChain(func(yield func(audit.Event, error) bool) { yield(audit.Event{}, broken) })
	if !errors.Is(err, broken) {
		t.Errorf("VerifyChain: got %v, want the reader's error", err)
	}
}

// A change to the store itself needs an actor, too.
func TestNewEvent(t *testing.T) {
	at := time.Date(2027, 1, 31, 9, 0, 0, 123456789, time.UTC)
	e, err := audit.NewEvent(t.Context(), "local:ann(1000)", "store.test", at, nil)
	if err != nil || e.KeyID != "" || e.Detail != "{}" || e.ID.Version() != 7 || !e.At.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("NewEvent: got %+v, %v, want an event of no key, with an id, in whole microseconds", e, err)
	}
	var invalid *keys.InvalidError
	for _, actor := range []audit.Actor{"", "a\x1b[2J"} {
		if _, err := audit.NewEvent(t.Context(), actor, "store.test", at, nil); !errors.As(err, &invalid) || invalid.Field != "actor" {
			t.Errorf("NewEvent by %q: got %v, want the actor refused", actor, err)
		}
	}
	if _, err := audit.NewEvent(t.Context(), "ann", "store.test", at, func() {}); err == nil {
		t.Error("NewEvent with a detail that is no JSON: got no error")
	}
}
