package storetest

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// start is when every test begins; each key moves the fixture's clock by a second.
var start = time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)

// fixture is one store under test, and what a test needs to talk to it briefly.
type fixture struct {
	t     *testing.T
	open  Open
	store store.Store
	now   time.Time
	clock atomic.Pointer[time.Time] // the store's own
}

func newFixture(t *testing.T, open Open) *fixture {
	f := &fixture{t: t, open: open, now: start}
	f.setClock(start.Add(24 * time.Hour)) // most tests count uses of before
	f.store = f.another()
	return f
}

// another opens the same data once more.
func (f *fixture) another() store.Store {
	f.t.Helper()
	s := f.open(f.t, func() time.Time { return *f.clock.Load() })
	f.t.Cleanup(func() { _ = s.Close() }) // most tests close nothing, some close early
	return s
}

// setClock sets the clock of all handles.
func (f *fixture) setClock(at time.Time) { f.clock.Store(&at) }

// manager acts on s at the fixture's time.
func (f *fixture) manager(s store.Store) *admin.Local {
	f.t.Helper()
	m, err := admin.NewLocal(s, "test", &admin.Options{Now: func() time.Time { return f.now }})
	if err != nil {
		f.t.Fatalf("NewLocal: %v", err)
	}
	return m
}

// newKey makes a sealed key that is not stored yet, a second younger than the one
// before. Edit may alter it first.
func (f *fixture) newKey(name string, edit func(*keys.Key)) *keys.Key {
	f.now = f.now.Add(time.Second)
	token := keys.NewToken(keys.KindKey)
	k := &keys.Key{
		ID: token.ID(), Kind: keys.KindKey, Name: name,
		CreatedAt: f.now, CreatedBy: "test", Version: 1,
		Secrets: []keys.KeySecret{f.newSecret(1, token)},
	}
	if edit != nil {
		edit(k)
	}
	f.store.Peppers().Seal(k)
	return k
}

func (f *fixture) newSecret(number int64, token keys.Token) keys.KeySecret {
	digest, pepperID := f.store.Peppers().Digest(token.Secret())
	return keys.KeySecret{
		Number: number, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: f.now,
	}
}

// event makes the audit row of a change of the key with that id.
func (f *fixture) event(id string) audit.Event {
	return audit.Event{
		ID: uuid.Must(uuid.NewV7()), At: f.now, Actor: "test", Action: "key.test",
		KeyID: id, RequestID: "request", Detail: "{}",
	}
}

// create stores a new key.
func (f *fixture) create(name string, edit func(*keys.Key)) *keys.Key {
	f.t.Helper()
	k := f.newKey(name, edit)
	if err := f.store.Create(f.t.Context(), k, f.event(k.ID)); err != nil {
		f.t.Fatalf("Create(%q): %v", name, err)
	}
	return k
}

// update changes a stored key in the proper way: next version, new seal.
func (f *fixture) update(s store.Store, id string, edit func(*keys.Key)) (*keys.Key, error) {
	return s.Update(f.t.Context(), id, f.change(id, edit))
}

func (f *fixture) change(id string, edit func(*keys.Key)) func(*keys.Key) (audit.Event, error) {
	return func(k *keys.Key) (audit.Event, error) {
		edit(k)
		k.Version++
		f.store.Peppers().Seal(k)
		return f.event(id), nil
	}
}

func (f *fixture) mustUpdate(id string, edit func(*keys.Key)) *keys.Key {
	f.t.Helper()
	k, err := f.update(f.store, id, edit)
	if err != nil {
		f.t.Fatalf("Update(%s): %v", id, err)
	}
	return k
}

func (f *fixture) key(s store.Store, id string) *keys.Key {
	f.t.Helper()
	k, err := s.Key(f.t.Context(), id)
	if err != nil {
		f.t.Fatalf("Key(%s): %v", id, err)
	}
	return k
}

// list returns the names of all that fit q, through all pages.
func (f *fixture) list(q keys.Query) []string {
	f.t.Helper()
	names := []string{}
	for _, k := range f.all(q) {
		names = append(names, k.Name)
	}
	return names
}

func (f *fixture) all(q keys.Query) []*keys.Key {
	f.t.Helper()
	var all []*keys.Key
	for {
		page, err := f.store.List(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("List(%+v): %v", q, err)
		}
		all = append(all, page.Keys...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
}

// wantList compares without regard to order.
func (f *fixture) wantList(what string, q keys.Query, want ...string) {
	f.t.Helper()
	got := f.list(q)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Errorf("List(%s): got %q, want %q", what, got, want)
	}
}

// events returns the whole audit log.
func (f *fixture) events() []audit.Event {
	f.t.Helper()
	events, err := f.store.Events(f.t.Context(), 0, 1_000_000)
	if err != nil {
		f.t.Fatalf("Events: %v", err)
	}
	return events
}

func (f *fixture) changes(s store.Store, since feed.Position) feed.Changes {
	f.t.Helper()
	c, err := s.Changes(f.t.Context(), since)
	if err != nil {
		f.t.Fatalf("Changes(%v): %v", since, err)
	}
	return c
}

// state is all that a store holds, as far as the interface shows it.
type state struct {
	Keys   []*keys.Key
	Events []audit.Event
	Next   feed.Position
}

func (f *fixture) state() state {
	f.t.Helper()
	return state{f.all(keys.Query{}), f.events(), f.changes(f.store, feed.Position{}).Next}
}

// wantSame fails unless nothing at all was written since before.
func (f *fixture) wantSame(what string, before state) {
	f.t.Helper()
	if d := diff(before, f.state()); d != "" {
		f.t.Errorf("%s: something was written (-before +after):\n%s", what, d)
	}
}

// diff is empty for equal values. Times are equal when they are the same instant.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
}

// diffUsage tells addresses apart by what they say.
func diffUsage(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

// cancelled returns a context that is over.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
