package storetest

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// lookupOf gives a key's first secret a scheme and a lookup.
func lookupOf(scheme keys.Scheme, digest, lookup string) func(*keys.Key) {
	return func(k *keys.Key) {
		s := &k.Secrets[0]
		s.Scheme, s.Digest, s.Lookup = scheme, []byte(digest), []byte(lookup)
	}
}

func (f *fixture) found(s store.Store, lookups ...string) []string {
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
	for _, s := range []store.Store{f.store, f.another()} {
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

// Nor does it come back when a rotation ended it; and it is found.
func supersededTokenIsFound(t *testing.T, f *fixture) {
	reader := f.another()
	k := f.create("rotated", lookupOf(keys.SchemeSHA256, "x", "at"))
	f.mustUpdate(k.ID, func(k *keys.Key) {
		k.Secrets = []keys.KeySecret{{Number: 2, Scheme: keys.SchemeHMAC, PepperID: k.Secrets[0].PepperID, Digest: make([]byte, 32), CreatedAt: f.now}}
	})
	for _, s := range []store.Store{f.store, reader} {
		if got := f.found(s, "at"); len(got) != 0 {
			t.Errorf("FindImported: got %v, want nothing", got)
		}
		for lookup, want := range map[string][]string{"at": {k.ID}, "elsewhere": nil} {
			if got, err := s.FindSuperseded(t.Context(), [][]byte{[]byte(lookup)}); err != nil || !slices.Equal(got, want) {
				t.Errorf("FindSuperseded(%q): got %v, %v, want %v", lookup, got, err, want)
			}
		}
		if c := f.changes(s, feed.Position{}); !c.Imported {
			t.Error("Changes: not Imported, so that no token of another form is looked for")
		}
	}
	before := f.state()
	again := f.newKey("again", lookupOf(keys.SchemeSHA256, "x", "at"))
	if err := f.store.Create(t.Context(), again, f.event(again.ID)); !errors.Is(err, keys.ErrTokenTaken) {
		t.Errorf("Create with the superseded token: got %v, want ErrTokenTaken", err)
	}
	f.wantSame("superseded token", before)
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
	start := f.changes(reader, feed.Position{})
	if start.Imported {
		t.Error("Changes from the start: Imported, and nothing is")
	}
	k := f.create("imported", lookupOf(keys.SchemeSHA256, "x", "at"))
	for name, c := range map[string]feed.Changes{
		"from before":    f.changes(reader, start.Next),
		"from the start": f.changes(reader, feed.Position{}),
		"lost":           f.changes(reader, feed.Position{Generation: "another", Seq: 1}),
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

// newKeys is a batch in the name of the test.
func (f *fixture) newKeys() store.NewKeys {
	return store.NewKeys{Batch: pepper.NewBatchID(), Actor: "test", Done: func(int) (audit.Event, error) { return f.event(""), nil }}
}

// members makes keys of a batch.
func (f *fixture) members(n store.NewKeys, names ...string) (list []*keys.Key) {
	for _, name := range names {
		list = append(list, f.newKey(name, func(k *keys.Key) { k.Batch = n.Batch }))
	}
	return list
}

func (f *fixture) each(list []*keys.Key) iter.Seq2[*keys.Key, audit.Event] {
	return func(yield func(*keys.Key, audit.Event) bool) {
		for _, k := range list {
			if !yield(k, f.event(k.ID)) {
				return
			}
		}
	}
}

func createAllIsOneAct(t *testing.T, f *fixture) {
	f.create("taken", nil)
	n := f.newKeys()
	list := f.members(n, "a", "taken", "b", "a", "c")
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("CreateAll without a judge: got %v, want ErrNameTaken", err)
	}
	f.wantList("refused", keys.Query{}, "taken")
	no := errors.New("no")
	var heard []error
	n.Told = func(_ *keys.Key, refused error) { heard = append(heard, refused) }
	judge := func(err error) func() error {
		return func() error {
			if len(heard) != 5 || heard[0] != nil || !errors.Is(heard[1], keys.ErrNameTaken) || heard[2] != nil || !errors.Is(heard[3], keys.ErrNameTaken) {
				t.Errorf("the judge knows of %v, want the second and the fourth refused", heard)
			}
			heard = nil
			return err
		}
	}
	n.Judge = judge(no)
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); !errors.Is(err, no) {
		t.Errorf("CreateAll with a no: got %v", err)
	}
	n.Vain = func() bool { return true }
	n.Judge = judge(no)
	before := f.state()
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); !errors.Is(err, no) {
		t.Errorf("CreateAll in vain: got %v", err)
	}
	f.wantSame("what is in vain", before)
	n.Vain = nil
	unsealed := *list[4]
	unsealed.Scopes = []string{"*"}
	list[4] = &unsealed
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); err == nil {
		t.Error("CreateAll with an unsealed key: got no error")
	}
	f.wantList("refused or failed", keys.Query{}, "taken")
	f.store.Peppers().Seal(list[4])
	heard, n.Judge = nil, judge(nil)
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); err != nil {
		t.Errorf("CreateAll: %v", err)
	}
	f.wantList("created", keys.Query{}, "taken", "a", "b", "c")
	if newest, err := audit.VerifyChain(f.chain(7)); err != nil {
		t.Errorf("VerifyChain: got %v, %v", newest, err)
	}
}

// While keys are created, and after a failed creation, no method of any handle finds one of
// them. Other callers can issue and change keys; a name or token of the unfinished keys is
// refused with an error that names the reason.
func unfinishedIsNotFound(t *testing.T, f *fixture) {
	n := f.newKeys()
	list := f.members(n, "a", "b")
	lookupOf(keys.SchemeSHA256, "x", "at")(list[1])
	f.store.Peppers().Seal(list[1])
	other := f.another()
	ordinary := f.create("ordinary", nil)
	wantNone := func(when string) {
		t.Helper()
		for _, s := range []store.Store{f.store, other} {
			for _, k := range list {
				if _, err := s.Key(t.Context(), k.ID); !errors.Is(err, keys.ErrNotFound) {
					t.Errorf("%s: Key: got %v, want ErrNotFound", when, err)
				}
				if _, err := f.update(s, k.ID, func(*keys.Key) {}); !errors.Is(err, keys.ErrNotFound) {
					t.Errorf("%s: Update: got %v, want ErrNotFound", when, err)
				}
			}
			if got := f.found(s, "at"); len(got) != 0 {
				t.Errorf("%s: FindImported: got %v, want nothing", when, got)
			}
		}
		f.wantList(when, keys.Query{Search: "a"}, "ordinary")
	}
	no := errors.New("no")
	n.Judge = func() error {
		wantNone("before they are valid")
		f.mustUpdate(ordinary.ID, func(k *keys.Key) { k.Metadata = map[string]string{"a": "b"} })
		for name, edit := range map[string]func(*keys.Key){"a": nil, "another": lookupOf(keys.SchemeSHA256, "y", "at")} {
			k := f.newKey(name, edit)
			if err := other.Create(t.Context(), k, f.event(k.ID)); !errors.Is(err, keys.ErrImporting) {
				t.Errorf("Create(%q) beside it: got %v, want ErrImporting", name, err)
			}
		}
		m := f.newKeys()
		if err := other.CreateAll(t.Context(), m, f.each(f.members(m, "second"))); !errors.Is(err, keys.ErrImporting) {
			t.Errorf("CreateAll beside it: got %v, want ErrImporting", err)
		}
		return no
	}
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); !errors.Is(err, no) {
		t.Errorf("CreateAll: got %v", err)
	}
	wantNone("after it broke off")
	since := f.changes(other, feed.Position{}).Next
	n.Judge = nil
	if err := f.store.CreateAll(t.Context(), n, f.each(list)); err != nil {
		t.Errorf("CreateAll once more: %v", err)
	}
	for _, s := range []store.Store{f.store, other} {
		for _, k := range list {
			if d := diff(k, f.key(s, k.ID)); d != "" {
				t.Errorf("Key of a valid one (-created +stored):\n%s", d)
			}
		}
		if got := f.found(s, "at"); !slices.Equal(got, []string{list[1].ID}) {
			t.Errorf("FindImported: got %v, want %s", got, list[1].ID)
		}
	}
	if c := f.changes(other, since); !c.Lost {
		t.Errorf("Changes after keys became valid: got %+v, want Lost: who remembers that there is no such key must forget it", c)
	}
	f.mustUpdate(list[0].ID, func(k *keys.Key) { k.RevokedAt = f.now })
}

// A reader that missed very many changes is told to drop all, instead of each key.
func feedIsBounded(t *testing.T, f *fixture) {
	since := f.changes(f.store, feed.Position{}).Next
	n := f.newKeys()
	names := make([]string, 6000)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	n.Judge = func() error {
		if c := f.changes(f.store, since); !c.Lost || len(c.IDs) > 0 {
			t.Errorf("Changes after %d keys: got %d ids, lost %v, want to be lost", len(names), len(c.IDs), c.Lost)
		}
		return nil
	}
	if err := f.store.CreateAll(t.Context(), n, f.each(f.members(n, names...))); err != nil {
		t.Errorf("CreateAll: %v", err)
	}
}

// A key that is left out of an import must not be in the store. So if its pepper is retired
// when a part of the key is already written, the whole import fails.
func createAllLeavesOutWhole(t *testing.T, f *fixture) {
	f.create("taken", nil)
	good, taken, late := f.newKey("good", nil), f.newKey("taken", nil), f.newKey("late", nil)
	other, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	late.Secrets[0].PepperID = other.Current()
	f.store.Peppers().Seal(late) // so that only its secret shows it
	retired := f.newKey("retired", nil)
	other.ForStore(f.store.Peppers().Store()).Seal(retired)
	n := f.newKeys()
	for _, k := range []*keys.Key{good, taken, late} {
		k.Batch = n.Batch
		f.store.Peppers().Seal(k)
	}
	retired.Batch = n.Batch
	other.ForStore(f.store.Peppers().Store()).Seal(retired)
	for name, last := range map[string]*keys.Key{"its secret's pepper is gone": late, "its seal's pepper is gone": retired} {
		n.Told = func(k *keys.Key, refused error) {
			if k == last {
				t.Errorf("%s: it was told of as left out: %v", name, refused)
			}
		}
		n.Judge = func() error {
			t.Errorf("%s: the judge was asked, want none asked", name)
			return nil
		}
		err := f.store.CreateAll(t.Context(), n, f.each([]*keys.Key{good, taken, last}))
		var refused *store.RefusedError
		if !errors.Is(err, keys.ErrPepperRetired) || errors.As(err, &refused) {
			t.Errorf("CreateAll, %s: got %v, want ErrPepperRetired and no RefusedError", name, err)
		}
		f.wantList(name, keys.Query{}, "taken")
	}
	heard := 0
	n.Told = func(k *keys.Key, reason error) {
		var refused *store.RefusedError
		heard++
		if k == taken && (!errors.As(reason, &refused) || !errors.Is(reason, keys.ErrNameTaken)) || k == good && reason != nil {
			t.Errorf("it was told %v of %s, want the taken name alone as a RefusedError", reason, k.Name)
		}
	}
	n.Judge = func() error { return nil }
	if err := f.store.CreateAll(t.Context(), n, f.each([]*keys.Key{good, taken})); err != nil || heard != 2 {
		t.Errorf("CreateAll: %v, and heard of %d keys, want 2", err, heard)
	}
	f.wantList("created", keys.Query{}, "taken", "good")
}

// The error of a refused change has the type for it, and no other.
func refusalsAreTyped(t *testing.T, f *fixture) {
	first := f.create("first", nil)
	sameName := f.newKey("first", nil)
	sameID := f.newKey("second", func(k *keys.Key) { k.ID = first.ID })
	for _, k := range []*keys.Key{sameName, sameID} {
		var refused *store.RefusedError
		var written *store.WrittenError
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
	elsewhere := peppers.ForStore(pepper.NewStoreID())
	if err := elsewhere.CheckSeal(k); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckSeal in another store: got %v, want ErrTampered", err)
	}
	batch := pepper.Batch{ID: pepper.NewBatchID(), StartedAt: f.now, Actor: "test"}
	peppers.SealBatch(&batch)
	if err := peppers.CheckBatch(&batch); err != nil {
		t.Errorf("CheckBatch: %v", err)
	}
	if err := elsewhere.CheckBatch(&batch); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("CheckBatch in another store: got %v, want ErrTampered", err)
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

// An imported token that ended stays taken, however often its key is rotated afterwards and
// however long ago that was: the same file, imported again, must not bring it back.
func endedTokenStaysTaken(t *testing.T, f *fixture) {
	k := f.create("old", lookupOf(keys.SchemeSHA256, "a", "at a"))
	m := f.manager(f.store)
	for range 2 * keys.MaxSuperseded {
		if _, err := m.Rotate(t.Context(), k.ID, admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
			t.Fatal(err)
		}
	}
	other := f.create("other", nil)
	f.now = f.now.Add(2 * keys.SupersededKept)
	if _, err := m.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), other.ID, admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
		t.Fatal(err)
	}
	again := f.newKey("again", lookupOf(keys.SchemeSHA256, "a", "at a"))
	f.store.Peppers().Seal(again)
	if err := f.store.Create(t.Context(), again, f.event(again.ID)); !errors.Is(err, keys.ErrTokenTaken) {
		t.Errorf("Create with a token that ended long ago: got %v, want ErrTokenTaken", err)
	}
}
