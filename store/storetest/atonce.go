package storetest

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// A store may write the changes of concurrent callers together. Callers must not see a
// difference, except in time.

// Every third name is wanted twice. One of the two callers gets it, and the other fails
// because it is taken, and the key that took it exists: no caller is refused because of a
// key that then is not made.
func changesAtOnceHoldOrFailSingly(t *testing.T, f *fixture) {
	const writers, rounds = 8, 6
	stores := []store.Store{f.store, f.store, f.store, f.another()}
	type attempt struct {
		key *keys.Key
		err error
	}
	attempts := make([]attempt, writers*rounds)
	for i := range attempts {
		n := i
		if i%4 == 1 {
			n-- // its neighbour's name
		}
		attempts[i].key = f.newKey("key "+strconv.Itoa(n), nil)
	}
	var wg sync.WaitGroup
	for w := range writers {
		s := stores[w%len(stores)]
		wg.Go(func() {
			for i := w; i < len(attempts); i += writers {
				a := &attempts[i]
				a.err = s.Create(t.Context(), a.key, f.event(a.key.ID))
			}
		})
	}
	wg.Wait()
	held := map[string]bool{}
	for _, a := range attempts {
		switch {
		case a.err == nil && held[a.key.Name]:
			t.Errorf("%s was made twice", a.key.Name)
		case a.err == nil:
			held[a.key.Name] = true
			if d := diff(a.key, f.key(f.store, a.key.ID)); d != "" {
				t.Errorf("Key(%s) (-created +stored):\n%s", a.key.Name, d)
			}
		case !errors.Is(a.err, keys.ErrNameTaken):
			t.Errorf("Create(%s): got %v, want success or ErrNameTaken", a.key.Name, a.err)
		default:
			if _, err := f.store.Key(t.Context(), a.key.ID); !errors.Is(err, keys.ErrNotFound) {
				t.Errorf("Key of a refused one: got %v, want ErrNotFound", err)
			}
		}
	}
	for _, a := range attempts {
		if !held[a.key.Name] {
			t.Errorf("%s was refused to all who wanted it", a.key.Name)
		}
	}
	f.wantRecorded(len(held))
}

// Every kind of failure occurs beside successful changes.
func failingChangeHarmsNoNeighbour(t *testing.T, f *fixture) {
	refused := errors.New("refused")
	taken := f.create("taken", nil)
	same := f.create("same", nil)
	spoilers := map[string]func() error{
		"its own error": func() error {
			_, err := f.store.Update(t.Context(), same.ID, func(k *keys.Key) (audit.Event, error) { return audit.Event{}, refused })
			return want(err, refused)
		},
		"a panic": func() (err error) {
			defer func() { err = want(recovered(recover()), refused) }()
			_, _ = f.store.Update(t.Context(), same.ID, func(*keys.Key) (audit.Event, error) { panic(refused) })
			return nil
		},
		"a taken name": func() error {
			_, err := f.update(f.store, same.ID, func(k *keys.Key) { k.Name = taken.Name })
			return want(err, keys.ErrNameTaken)
		},
		"no such key": func() error {
			_, err := f.update(f.store, "000000000000", func(*keys.Key) {})
			return want(err, keys.ErrNotFound)
		},
		"no seal": func() error {
			_, err := f.store.Update(t.Context(), same.ID, func(k *keys.Key) (audit.Event, error) { k.Version++; return f.event(k.ID), nil })
			if err == nil {
				return errors.New("an unsealed key was written")
			}
			return nil
		},
		"nothing to change": func() error {
			_, err := f.store.Update(t.Context(), same.ID, func(*keys.Key) (audit.Event, error) { return audit.Event{}, keys.ErrNoChange })
			return err
		},
	}
	const rounds = 5
	var fresh []*keys.Key
	for i := range 4 * rounds {
		fresh = append(fresh, f.newKey("fresh "+strconv.Itoa(i), nil))
	}
	counter := f.create("counter", nil)
	var wg sync.WaitGroup
	for name, spoil := range spoilers {
		wg.Go(func() {
			for range rounds {
				if err := spoil(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	for w := range 4 {
		wg.Go(func() {
			for _, k := range fresh[w*rounds : (w+1)*rounds] {
				if err := f.store.Create(t.Context(), k, f.event(k.ID)); err != nil {
					t.Errorf("Create(%q): %v", k.Name, err)
				}
				if _, err := f.update(f.store, counter.ID, func(*keys.Key) {}); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, k := range append(fresh, taken, same) {
		if d := diff(k, f.key(f.store, k.ID)); d != "" {
			t.Errorf("Key(%s) (-want +got):\n%s", k.Name, d)
		}
	}
	if got := f.key(f.store, counter.ID).Version; got != 4*rounds+1 {
		t.Errorf("counter: got version %d, want %d", got, 4*rounds+1)
	}
	f.wantRecorded(3 + 2*4*rounds)
}

// want is nil when got is wanted, and says what it is otherwise.
func want(got, wanted error) error {
	if errors.Is(got, wanted) {
		return nil
	}
	return errors.Join(errors.New("got another error than "+wanted.Error()), got)
}

func recovered(value any) error {
	err, _ := value.(error)
	return err
}

// wantRecorded fails unless exactly n changes are in the audit log, in one chain.
func (f *fixture) wantRecorded(n int) {
	f.t.Helper()
	if got := len(f.events()); got != n {
		f.t.Errorf("got %d audit rows, want %d", got, n)
	}
	if newest, err := audit.VerifyChain(f.chain(7)); err != nil || newest.Seq != int64(n) {
		f.t.Errorf("VerifyChain: got %v, %v, want row %d", newest, err, n)
	}
}
