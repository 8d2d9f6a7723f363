package storetest

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// supersededOf is what the store keeps of the secrets that a key had.
func (f *fixture) supersededOf(s store.Store, id string) []keys.Superseded {
	f.t.Helper()
	list, err := s.Superseded(f.t.Context(), id)
	if err != nil {
		f.t.Fatalf("Superseded(%s): %v", id, err)
	}
	return list
}

// B5: after a rotation, finish or replace, or after its grace, every handle recognises a
// secret as superseded, and no key has it.
func takenAwayIsSuperseded(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	first, err := m.Issue(t.Context(), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	id := first.Key.ID
	rotate := func(req admin.RotateRequest) admin.Issued {
		t.Helper()
		issued, err := m.Rotate(t.Context(), id, req)
		if err != nil {
			t.Fatal(err)
		}
		return issued
	}
	second := rotate(admin.RotateRequest{})
	if list := f.supersededOf(f.store, id); len(list) != 0 {
		t.Errorf("during the grace: got %+v, want none", list)
	}
	finished := f.now
	rotate(admin.RotateRequest{Finish: 1})
	f.now = f.now.Add(time.Hour)
	third := rotate(admin.RotateRequest{Replace: 2})
	f.now = f.now.Add(time.Hour)
	fourth := rotate(admin.RotateRequest{Grace: new(time.Minute)})
	ended := f.now.Add(time.Minute)
	f.now = f.now.Add(time.Hour)
	rotate(admin.RotateRequest{})

	other := f.another()
	list := f.supersededOf(other, id)
	want := map[int64]time.Time{1: finished, 2: finished.Add(time.Hour), 3: ended}
	if len(list) != len(want) {
		t.Fatalf("Superseded: got %+v, want 3, 2 and 1", list)
	}
	for i, s := range list {
		if s.Number != int64(3-i) || !s.EndedAt.Equal(want[s.Number]) {
			t.Errorf("Superseded %d: got number %d, ended %v, want %v", i, s.Number, s.EndedAt, want[s.Number])
		}
	}
	k := f.key(other, id)
	for number, token := range map[int64]keys.Secret{1: first.Token, 2: second.Token, 3: third.Token} {
		if s := other.Peppers().Verify(k, token); s != nil {
			t.Errorf("secret %d is one of the key's", number)
		}
		if s := other.Peppers().Superseded(list, token, f.now); s == nil || s.Number != number {
			t.Errorf("secret %d: got %+v, want it recognised", number, s)
		}
	}
	for _, token := range []keys.Secret{fourth.Token, keys.NewToken(keys.KindKey).Secret()} {
		if s := other.Peppers().Superseded(list, token, f.now); s != nil {
			t.Errorf("one that is valid, or never was: got %+v", s)
		}
	}
	if list := f.supersededOf(f.store, "zzzzzzzzzzzz"); len(list) != 0 {
		t.Errorf("Superseded of an unknown key: got %+v", list)
	}
}

// They are at most as many as keys.MaxSuperseded, and none older than keys.SupersededKept.
func supersededAreBounded(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	first, err := m.Issue(t.Context(), admin.IssueRequest{Name: "ci", Expires: keys.NeverExpires()})
	if err != nil {
		t.Fatal(err)
	}
	id := first.Key.ID
	var tokens []keys.Secret
	for range 2 * keys.MaxSuperseded {
		f.now = f.now.Add(time.Hour)
		issued, err := m.Rotate(t.Context(), id, admin.RotateRequest{Grace: new(time.Duration)})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, issued.Token)
	}
	list := f.supersededOf(f.store, id)
	if len(list) != keys.MaxSuperseded || list[0].Number != 2*keys.MaxSuperseded {
		t.Errorf("after many rotations: got %d from number %d on, want the newest %d", len(list), list[0].Number, keys.MaxSuperseded)
	}
	last := tokens[len(tokens)-2] // the one that ended last
	if s := f.store.Peppers().Superseded(list, last, f.now.Add(keys.SupersededKept-time.Hour)); s == nil {
		t.Error("the newest is not recognised within its time")
	}
	f.now = f.now.Add(keys.SupersededKept)
	if s := f.store.Peppers().Superseded(list, last, f.now); s != nil {
		t.Errorf("the newest is recognised after its time: %+v", s)
	}
	if _, err := m.Rotate(t.Context(), id, admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
		t.Fatal(err)
	}
	if list := f.supersededOf(f.store, id); len(list) != 1 {
		t.Errorf("after %v: got %d, want the old ones gone", keys.SupersededKept, len(list))
	}
}
