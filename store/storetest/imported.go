package storetest

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// lookupOf gives a key's first secret a scheme and a lookup.
func lookupOf(scheme keys.Scheme, digest, lookup string) func(*keys.Key) {
	return func(k *keys.Key) {
		s := &k.Secrets[0]
		s.Scheme, s.Digest, s.Lookup = scheme, []byte(digest), []byte(lookup)
	}
}

func (f *fixture) found(s keys.Store, lookups ...string) []string {
	f.t.Helper()
	var list [][]byte
	for _, l := range lookups {
		list = append(list, []byte(l))
	}
	ids, err := s.FindImported(f.t.Context(), list)
	if err != nil {
		f.t.Fatalf("FindImported(%q): %v", lookups, err)
	}
	return ids
}

func importedIsFound(t *testing.T, f *fixture) {
	f.create("native", nil)
	a := f.create("a", lookupOf(keys.SchemeSHA256, "a", "at a"))
	b := f.create("b", lookupOf(keys.SchemeBcrypt, "b", "at b"))
	c := f.create("c", lookupOf(keys.SchemeBcrypt, "c", "at b"))
	pair := []string{b.ID, c.ID}
	slices.Sort(pair)
	all := []string{a.ID, b.ID, c.ID}
	slices.Sort(all)
	for _, s := range []keys.Store{f.store, f.another()} {
		for _, tc := range []struct {
			lookups, want []string
		}{
			{[]string{"at a"}, []string{a.ID}},
			{[]string{"at b", "nowhere"}, pair},
			{[]string{"at a", "at b"}, all},
			{[]string{"AT A", "at", "at a "}, nil},
			{nil, nil},
		} {
			if got := f.found(s, tc.lookups...); !slices.Equal(got, tc.want) {
				t.Errorf("FindImported(%q): got %v, want %v", tc.lookups, got, tc.want)
			}
		}
	}
	f.mustUpdate(a.ID, func(k *keys.Key) { k.Secrets[0].Lookup = []byte("moved") })
	if got := f.found(f.store, "at a"); got != nil {
		t.Errorf("FindImported of a former lookup: got %v, want nothing", got)
	}
	if got := f.found(f.store, "moved"); !slices.Equal(got, []string{a.ID}) {
		t.Errorf("FindImported after a move: got %v, want %s", got, a.ID)
	}
}

// Nor does it come back when its key was revoked.
func importedComesOnce(t *testing.T, f *fixture) {
	first := f.create("first", lookupOf(keys.SchemeSHA256, "x", "at"))
	f.mustUpdate(first.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	slow := f.create("slow", lookupOf(keys.SchemeBcrypt, "y", "handle"))
	f.mustUpdate(slow.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	before := f.state()
	for name, edit := range map[string]func(*keys.Key){
		"another sum":   lookupOf(keys.SchemeSHA256, "z", "at"),
		"under HMAC":    func(k *keys.Key) { k.Secrets[0].Lookup = []byte("at") },
		"the same hash": lookupOf(keys.SchemeBcrypt, "y", "handle"),
	} {
		k := f.newKey(name, edit)
		if err := f.store.Create(t.Context(), k, f.event(k.ID)); !errors.Is(err, keys.ErrTokenTaken) {
			t.Errorf("Create(%s): got %v, want ErrTokenTaken", name, err)
		}
	}
	f.wantSame("taken tokens", before)
}

func handleIsSharedByFew(t *testing.T, f *fixture) {
	for i := range keys.MaxPerHandle {
		f.create("slow "+string(rune('a'+i)), lookupOf(keys.SchemeBcrypt, string(rune('a'+i)), "handle"))
	}
	before := f.state()
	k := f.newKey("one more", lookupOf(keys.SchemeArgon2id, "z", "handle"))
	if err := f.store.Create(t.Context(), k, f.event(k.ID)); !errors.Is(err, keys.ErrHandleTaken) {
		t.Errorf("Create: got %v, want ErrHandleTaken", err)
	}
	f.wantSame("taken handle", before)
}

// A verifier that missed the first import would refuse its tokens; one that never
// heard that there is none would ask the store about any junk.
func feedTellsOfImports(t *testing.T, f *fixture) {
	reader := f.another()
	f.create("native", nil)
	start := f.changes(reader, keys.Position{})
	if start.Imported {
		t.Error("Changes from the start: Imported, and nothing is")
	}
	k := f.create("imported", lookupOf(keys.SchemeSHA256, "x", "at"))
	for name, c := range map[string]keys.Changes{
		"from before":    f.changes(reader, start.Next),
		"from the start": f.changes(reader, keys.Position{}),
		"lost":           f.changes(reader, keys.Position{Generation: "another", Seq: 1}),
	} {
		if !c.Imported {
			t.Errorf("Changes %s: got %+v, want Imported", name, c)
		}
	}
	now := f.changes(reader, start.Next)
	if c := f.changes(reader, now.Next); !c.Imported || len(c.IDs) != 0 {
		t.Errorf("Changes at the end: got %+v, want Imported and nothing else", c)
	}
	f.mustUpdate(k.ID, func(k *keys.Key) { k.Secrets[0].Lookup = nil })
	if c := f.changes(reader, now.Next); c.Imported {
		t.Errorf("Changes after the last one went: got %+v, want not Imported", c)
	}
}

func createAllIsOneTransaction(t *testing.T, f *fixture) {
	f.create("taken", nil)
	var list []*keys.Key
	for _, name := range []string{"a", "taken", "b", "a", "c"} {
		list = append(list, f.newKey(name, nil))
	}
	all := func() iter.Seq2[*keys.Key, keys.Event] {
		return func(yield func(*keys.Key, keys.Event) bool) {
			for _, k := range list {
				if !yield(k, f.event(k.ID)) {
					return
				}
			}
		}
	}
	before := f.state()
	if err := f.store.CreateAll(t.Context(), all(), nil); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("CreateAll without a judge: got %v, want ErrNameTaken", err)
	}
	no := errors.New("no")
	judge := func(err error) func([]keys.RefusedKey) error {
		return func(refused []keys.RefusedKey) error {
			if len(refused) != 2 || refused[0].Key != list[1] || refused[1].Key != list[3] || !errors.Is(refused[1].Reason, keys.ErrNameTaken) {
				t.Errorf("the judge heard %+v, want the second and the fourth", refused)
			}
			return err
		}
	}
	if err := f.store.CreateAll(t.Context(), all(), judge(no)); !errors.Is(err, no) {
		t.Errorf("CreateAll with a no: got %v", err)
	}
	unsealed := *list[4]
	unsealed.Scopes = []string{"*"}
	list[4] = &unsealed
	if err := f.store.CreateAll(t.Context(), all(), judge(nil)); err == nil {
		t.Error("CreateAll with an unsealed key: got no error")
	}
	f.wantSame("nothing is created", before)
	f.store.Peppers().Seal(list[4])
	if err := f.store.CreateAll(t.Context(), all(), judge(nil)); err != nil {
		t.Errorf("CreateAll: %v", err)
	}
	f.wantList("created", keys.Query{}, "taken", "a", "b", "c")
	if n := len(f.events()) - len(before.Events); n != 3 {
		t.Errorf("CreateAll wrote %d audit rows, want 3", n)
	}
}

// A8. What is left out of an import must not be in the store: a key of which a part was
// written already when it was found that it cannot be, because its pepper was retired at
// that moment, takes all the others with it.
func createAllLeavesOutWhole(t *testing.T, f *fixture) {
	f.create("taken", nil)
	good, taken, late := f.newKey("good", nil), f.newKey("taken", nil), f.newKey("late", nil)
	other, err := keys.GeneratePeppers()
	if err != nil {
		t.Fatal(err)
	}
	late.Secrets[0].PepperID = other.Current()
	f.store.Peppers().Seal(late) // so that only its secret shows it
	retired := f.newKey("retired", nil)
	other.ForStore(f.store.Peppers().Store()).Seal(retired)
	for name, last := range map[string]*keys.Key{"its secret's pepper is gone": late, "its seal's pepper is gone": retired} {
		before := f.state()
		all := func(yield func(*keys.Key, keys.Event) bool) {
			for _, k := range []*keys.Key{good, taken, last} {
				if !yield(k, f.event(k.ID)) {
					return
				}
			}
		}
		err := f.store.CreateAll(t.Context(), all, func(refused []keys.RefusedKey) error {
			t.Errorf("%s: the judge heard of %d, want none asked", name, len(refused))
			return nil
		})
		var refused *keys.RefusedError
		if !errors.Is(err, keys.ErrPepperRetired) || errors.As(err, &refused) {
			t.Errorf("CreateAll, %s: got %v, want ErrPepperRetired and no RefusedError", name, err)
		}
		f.wantSame(name, before)
	}
	all := func(yield func(*keys.Key, keys.Event) bool) {
		_ = yield(good, f.event(good.ID)) && yield(taken, f.event(taken.ID))
	}
	err = f.store.CreateAll(t.Context(), all, func(list []keys.RefusedKey) error {
		var refused *keys.RefusedError
		if len(list) != 1 || list[0].Key != taken || !errors.As(list[0].Reason, &refused) || !errors.Is(list[0].Reason, keys.ErrNameTaken) {
			t.Errorf("the judge heard %+v, want the taken name as a RefusedError", list)
		}
		return nil
	})
	if err != nil {
		t.Errorf("CreateAll: %v", err)
	}
	f.wantList("created", keys.Query{}, "taken", "good")
}

// A change that was refused says so by its type: it is of no other tree.
func refusalsAreTyped(t *testing.T, f *fixture) {
	first := f.create("first", nil)
	sameName := f.newKey("first", nil)
	sameID := f.newKey("second", func(k *keys.Key) { k.ID = first.ID })
	for _, k := range []*keys.Key{sameName, sameID} {
		var refused *keys.RefusedError
		var written *keys.WrittenError
		err := f.store.Create(t.Context(), k, f.event(k.ID))
		if !errors.As(err, &refused) || errors.As(err, &written) || !errors.Is(err, keys.ErrConflict) {
			t.Errorf("Create: got %v, want a RefusedError that is a conflict", err)
		}
	}
}

// Peppers of a store know it, and what is sealed for another store under the same pepper is
// refused.
func sealIsOfThisStore(t *testing.T, f *fixture) {
	k := f.create("mine", nil)
	peppers := f.store.Peppers()
	if peppers.Store().IsZero() {
		t.Fatal("Peppers: they belong to no store")
	}
	elsewhere := peppers.ForStore(keys.NewStoreID())
	if err := elsewhere.CheckSeal(k); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckSeal in another store: got %v, want ErrTampered", err)
	}
	before := f.state()
	copied := f.newKey("copied", nil)
	elsewhere.Seal(copied)
	if err := f.store.Create(t.Context(), copied, f.event(copied.ID)); err == nil {
		t.Error("Create of a key of another store: got no error")
	}
	f.wantSame("a key of another store", before)
	if again := f.another().Peppers().Store(); again != peppers.Store() {
		t.Errorf("another handle's peppers are of store %s, want %s", again, peppers.Store())
	}
}
