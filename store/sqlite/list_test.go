package sqlite_test

import (
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// Among a million keys, to decide about each in its row takes twenty seconds, and in
// the index half of one. What one asks for by its name, its owner or the beginning of
// its id is found at once.
func TestListsAreDecidedInAnIndex(t *testing.T) {
	s := open(t, create(t))
	owner, now := "ann", time.Now()
	const (
		all    = "SCAN k USING COVERING INDEX keys_newest"
		byName = "SEARCH k USING INDEX keys_name (name=?"
		byID   = "SEARCH k USING PRIMARY KEY (id>?"
	)
	for what, tc := range map[string]struct {
		q    keys.Query
		want string
	}{
		"all":        {keys.Query{}, all},
		"search":     {keys.Query{Search: "x"}, all},
		"scope":      {keys.Query{Scope: "x"}, all},
		"audience":   {keys.Query{Audience: "x"}, all},
		"kind":       {keys.Query{Kind: keys.KindAdmin}, all},
		"unrevoked":  {keys.Query{Unrevoked: true}, all},
		"active":     {keys.Query{Status: keys.StatusActive, Now: now}, all},
		"expiring":   {keys.Query{Status: keys.StatusExpiring, Now: now}, all},
		"expired":    {keys.Query{Status: keys.StatusExpired, Now: now}, all},
		"disabled":   {keys.Query{Status: keys.StatusDisabled, Now: now}, all},
		"revoked":    {keys.Query{Status: keys.StatusRevoked, Now: now}, all},
		"expires by": {keys.Query{ExpiresBy: now}, all},
		"name":       {keys.Query{Name: "x"}, all},
		"live name":  {keys.Query{Name: "x", Unrevoked: true}, byName},
		"owner":      {keys.Query{Owner: &owner}, "SEARCH k USING COVERING INDEX keys_owner (owner=?"},
		"whose name": {keys.Query{Owner: &owner, Name: "x", Unrevoked: true}, byName},
		"id prefix":  {keys.Query{IDPrefix: "x"}, byID},
	} {
		plan, err := s.Plan(tc.q)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, tc.want) {
			t.Errorf("%s: got plan\n%s\nwant in it %q", what, text, tc.want)
		}
	}
	first := issue(t, s, admin.IssueRequest{Name: "first"}).Key
	issue(t, s, admin.IssueRequest{Name: "second"})
	page, err := s.List(t.Context(), keys.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.Plan(keys.Query{Cursor: page.Next})
	if want := "SEARCH k USING COVERING INDEX keys_newest (created_at<?"; err != nil || !strings.Contains(strings.Join(plan, "\n"), want) {
		t.Errorf("the page before %s: got plan %q, %v, want in it %q", first.Name, plan, err, want)
	}
}

// A27: writing the letters of a scope in another way, which does not change the seal, does
// not hide the key from a search for that scope.
func TestScopesSpelledOtherwiseAreFound(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:x"}, Audience: []string{"a&b"}}).Key.ID
	mustExec(t, shell(t, path), `UPDATE keys SET scopes = '[ "\u0074ools:\u0078" ]', audience = '["a&b"]'`)
	for what, q := range map[string]keys.Query{"scope": {Scope: "tools:x"}, "audience": {Audience: "a&b"}} {
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Keys) != 1 || s.Peppers().CheckSeal(page.Keys[0]) != nil {
			t.Errorf("List by %s: got %d keys, %v, want %s, with its seal whole", what, len(page.Keys), err, id)
		}
	}
}

func TestCreateAllOrNone(t *testing.T) {
	s := open(t, create(t))
	issue(t, s, admin.IssueRequest{Name: "taken"})
	createAll := func(names ...string) error {
		n := store.NewKeys{Batch: pepper.NewBatchID(), Actor: "test", Done: func(int) (audit.Event, error) {
			return audit.NewEvent(t.Context(), "test", audit.ActionImportDone, time.Now(), nil)
		}}
		return s.CreateAll(t.Context(), n, several(s.Peppers(), n.Batch, names...))
	}
	if err := createAll("one", "taken", "two"); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("CreateAll with a taken name: got %v, want ErrNameTaken", err)
	}
	if page, err := s.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 1 {
		t.Errorf("after a refused CreateAll: got %d keys, %v, want one", len(page.Keys), err)
	}
	before := s.Epoch()
	if err := createAll("one", "two", "three"); err != nil {
		t.Errorf("CreateAll: %v", err)
	}
	if page, err := s.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 4 || s.Epoch() == before {
		t.Errorf("after CreateAll: got %d keys, %v, want four, and an epoch that moved", len(page.Keys), err)
	}
}

// several makes keys of those names.
func several(peppers *pepper.Set, batch []byte, names ...string) iter.Seq2[*keys.Key, audit.Event] {
	return func(yield func(*keys.Key, audit.Event) bool) {
		now := time.Now()
		for _, name := range names {
			token := keys.NewToken(keys.KindKey)
			digest, pepperID := peppers.Digest(token.Secret())
			k := &keys.Key{
				ID: token.ID(), Kind: keys.KindKey, Name: name, CreatedAt: now.UTC().Truncate(time.Microsecond), CreatedBy: "test", Version: 1, Batch: batch,
				Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: now.UTC().Truncate(time.Microsecond)}},
			}
			peppers.Seal(k)
			e := audit.Event{ID: uuid.Must(uuid.NewV7()), At: now, Actor: "test", Action: "key.test", KeyID: k.ID, RequestID: "request", Detail: "{}"}
			if !yield(k, e) {
				return
			}
		}
	}
}
