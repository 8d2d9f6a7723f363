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
