package admin_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func newManager(t *testing.T) (*admin.Local, *sqlite.Store) {
	t.Helper()
	m, store, _ := newManagerAt(t)
	return m, store
}

func newManagerAt(t *testing.T) (m *admin.Local, store *sqlite.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	m, err = admin.NewLocal(store, "local:test(1)", &admin.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return m, store, path
}

func mustIssue(t *testing.T, m admin.Manager, req admin.IssueRequest) admin.Issued {
	t.Helper()
	issued, err := m.Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued
}

func events(t *testing.T, store store.Reader) []audit.Event {
	t.Helper()
	list, err := store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestIssue(t *testing.T) {
	m, store := newManager(t)
	issued := mustIssue(t, m, admin.IssueRequest{Name: "ci", Owner: "team-a", Scopes: []string{"tools:a", "tools:b", "tools:a"}})
	k := issued.Key
	if token, err := keys.ParseToken(issued.Token.Reveal()); err != nil || token.ID() != k.ID || token.Kind() != keys.KindKey {
		t.Errorf("the token is not the key's: %v", err)
	}
	if k.Kind != keys.KindKey || k.Version != 1 || k.CreatedBy != "local:test(1)" || !k.CreatedAt.Equal(noon) ||
		!k.ExpiresAt.Equal(noon.Add(keys.DefaultLife)) || len(k.Scopes) != 2 {
		t.Errorf("Issue: got %+v", k)
	}
	stored, err := m.Key(t.Context(), k.ID)
	if err != nil || stored.Name != "ci" || store.Peppers().Verify(stored, issued.Token) == nil {
		t.Errorf("Key: got %+v, %v", stored, err)
	}
	log := events(t, store)
	if len(log) != 1 || log[0].Action != audit.ActionIssue || log[0].KeyID != k.ID || log[0].Actor != "local:test(1)" {
		t.Fatalf("audit: got %+v", log)
	}
	if text := fmt.Sprintf("%+v", log[0]); strings.Contains(text, issued.Token.Reveal()[18:48]) || keys.LooksLikeToken(log[0].Detail) {
		t.Error("audit: the row holds the secret")
	}
}

func TestIssueAdmin(t *testing.T) {
	m, _ := newManager(t)
	all := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "root"})
	if got := strings.Join(all.Key.Scopes, " "); got != "keys:read keys:write audit:read verify" || !strings.HasPrefix(all.Token.Reveal(), "mcpa_") {
		t.Errorf("admin key without scopes: got %q", got)
	}
	for _, scope := range []string{"tools:a", "*", "keys:*"} {
		if _, err := m.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "x", Scopes: []string{scope}}); err == nil {
			t.Errorf("admin key with scope %q: accepted", scope)
		}
	}
}

// TestBadInputChangesNothing: a refused request writes no key and no audit row, and its error
// quotes nothing.
func TestBadInputChangesNothing(t *testing.T) {
	m, store := newManager(t)
	mustIssue(t, m, admin.IssueRequest{Name: "taken", Owner: "o"})
	token := keys.NewToken(keys.KindKey).Secret().Reveal()
	past, _ := keys.ParseExpiry("2020-01-01")
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("tools:t%d", i)
	}
	for name, row := range map[string]struct {
		req   admin.IssueRequest
		field string
	}{
		"no name":          {admin.IssueRequest{}, "name"},
		"id's shape":       {admin.IssueRequest{Name: "abcdefghijkl"}, "name"},
		"key as name":      {admin.IssueRequest{Name: token}, "name"},
		"control in name":  {admin.IssueRequest{Name: "canary\x1b[2J"}, "name"},
		"bidi in owner":    {admin.IssueRequest{Name: "x", Owner: "canary\u202e"}, "owner"},
		"key as owner":     {admin.IssueRequest{Name: "x", Owner: "my " + token}, "owner"},
		"scope characters": {admin.IssueRequest{Name: "x", Scopes: []string{"canary scope"}}, "scopes"},
		"too many scopes":  {admin.IssueRequest{Name: "x", Scopes: many}, "scopes"},
		"audience":         {admin.IssueRequest{Name: "x", Audience: []string{"canary server"}}, "audience"},
		"empty audience":   {admin.IssueRequest{Name: "x", Audience: []string{""}}, "audience"},
		"key as metadata":  {admin.IssueRequest{Name: "x", Metadata: map[string]string{"k": token}}, "metadata"},
		"metadata name":    {admin.IssueRequest{Name: "x", Metadata: map[string]string{"canary\n": "v"}}, "metadata"},
		"past":             {admin.IssueRequest{Name: "x", Expires: past}, "expires"},
		"rate":             {admin.IssueRequest{Name: "x", RateLimit: keys.RateLimit{Count: -1}}, "rate_limit"},
		"kind":             {admin.IssueRequest{Name: "x", Kind: "root"}, "kind"},
	} {
		_, err := m.Issue(t.Context(), row.req)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != row.field {
			t.Errorf("Issue with %s: got %v, want an InvalidError of %s", name, err, row.field)
		} else if strings.Contains(err.Error(), "canary") || keys.LooksLikeToken(err.Error()) {
			t.Errorf("Issue with %s: the error repeats the value", name)
		}
	}
	if _, err := m.Issue(t.Context(), admin.IssueRequest{Name: "taken", Owner: "o"}); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("Issue of a taken name: got %v, want ErrNameTaken", err)
	}
	if page, err := m.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 1 {
		t.Errorf("after refused requests: %d keys, %v, want 1", len(page.Keys), err)
	}
	if n := len(events(t, store)); n != 1 {
		t.Errorf("after refused requests: %d audit rows, want 1", n)
	}
	for _, actor := range []audit.Actor{"", "x\n"} {
		if _, err := admin.NewLocal(store, actor, nil); err == nil {
			t.Errorf("NewLocal for actor %q: accepted", actor)
		}
	}
}

func TestRevoke(t *testing.T) {
	m, store := newManager(t)
	issued := mustIssue(t, m, admin.IssueRequest{Name: "ci"})
	k, err := m.Revoke(t.Context(), issued.Key.ID, "left the company")
	if err != nil || k.Status(noon) != keys.StatusRevoked || k.RevokedReason != "left the company" || k.Version != 2 {
		t.Fatalf("Revoke: got %+v, %v", k, err)
	}
	silent := mustIssue(t, m, admin.IssueRequest{Name: "silent"}).Key
	for range 2 {
		if k, err := m.Revoke(t.Context(), silent.ID, ""); err != nil || k.Version != 2 {
			t.Errorf("Revoke without a reason: got %+v, %v, want one change", k, err)
		}
	}
	if again, err := m.Revoke(t.Context(), k.ID, "another reason"); err != nil || again.RevokedReason != "left the company" || again.Version != 2 {
		t.Errorf("Revoke again: got %+v, %v, want no change", again, err)
	}
	log := events(t, store)
	if len(log) != 4 || log[1].Action != audit.ActionRevoke || !strings.Contains(log[1].Detail, `"before":{`) {
		t.Errorf("audit: got %+v", log)
	}
	if _, err := m.Revoke(t.Context(), "zzzzzzzzzzzz", ""); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Revoke of an unknown key: got %v, want ErrNotFound", err)
	}
	if _, err := m.Revoke(t.Context(), k.ID, "bad\nreason"); err == nil {
		t.Error("Revoke with a line break in its reason: accepted")
	}
	mustIssue(t, m, admin.IssueRequest{Name: "ci"}) // a revoked key's name is free again
}

func TestResolve(t *testing.T) {
	m, _ := newManager(t)
	a := mustIssue(t, m, admin.IssueRequest{Name: "ci", Owner: "team-a"}).Key
	b := mustIssue(t, m, admin.IssueRequest{Name: "ci", Owner: "team-b"}).Key
	alone := mustIssue(t, m, admin.IssueRequest{Name: "nightly/report"}).Key
	dead := mustIssue(t, m, admin.IssueRequest{Name: "gone"}).Key
	if _, err := m.Revoke(t.Context(), dead.ID, ""); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]*keys.Key{
		a.ID: a, "team-a/ci": a, "team-b/ci": b, "nightly/report": alone, a.ID[:8]: a, b.ID[:6]: b, dead.ID: dead, dead.ID[:10]: dead, "gone": dead,
	} {
		if got, err := admin.Resolve(t.Context(), m, ref); err != nil || got.ID != want.ID {
			t.Errorf("Resolve(%q): got %v, %v, want %s", ref, got, err, want.ID)
		}
	}
	var ambiguous *admin.AmbiguousError
	if _, err := admin.Resolve(t.Context(), m, "ci"); !errors.As(err, &ambiguous) || len(ambiguous.Candidates) != 2 || !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Resolve(ci): got %v, want both candidates", err)
	}
	for _, ref := range []string{"", "gon", "CI", "c_", "ci%", a.ID[:5], strings.ToLower(a.ID) + "x", "team-a/", "/ci", "' OR 1=1 --", a.ID[:5] + "%", "______"} {
		if got, err := admin.Resolve(t.Context(), m, ref); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("Resolve(%q): got %v, %v, want ErrNotFound", ref, got, err)
		}
	}
	var invalid *keys.InvalidError
	if _, err := admin.Resolve(t.Context(), m, keys.NewToken(keys.KindKey).Secret().Reveal()); !errors.As(err, &invalid) || keys.LooksLikeToken(err.Error()) {
		t.Errorf("Resolve of a key: got %v, want a refusal without an echo", err)
	}
}

// TestRevokeOfAnEditedKey: an edit with a database shell never prevents revoking, and the audit
// row says that the key was edited.
func TestRevokeOfAnEditedKey(t *testing.T) {
	m, store, path := newManagerAt(t)
	issued := mustIssue(t, m, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:a"}})
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `UPDATE keys SET scopes = '["*"]'`); err != nil {
		t.Fatal(err)
	}
	if k, err := m.Key(t.Context(), issued.Key.ID); !errors.Is(err, keys.ErrTampered) || k == nil {
		t.Errorf("Key: got %v, %v, want the row and ErrTampered", k, err)
	}
	sound := mustIssue(t, m, admin.IssueRequest{Name: "sound"})
	if page, err := m.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 2 || !slices.Equal(page.Tampered, []string{issued.Key.ID}) {
		t.Errorf("List: got %d keys, %v tampered, %v; want both and %s, not %s", len(page.Keys), page.Tampered, err, issued.Key.ID, sound.Key.ID)
	}
	if k, err := m.Revoke(t.Context(), issued.Key.ID, ""); err != nil || k.RevokedAt.IsZero() {
		t.Fatalf("Revoke: got %v, %v", k, err)
	}
	if log := events(t, store); !strings.Contains(log[2].Detail, `"tampered":true`) {
		t.Errorf("audit: got %s, want the edit told", log[2].Detail)
	}
}

// TestA27PlantedRevocation: an attacker with a database shell marks a key as revoked before its
// owner revokes it, so that the real revocation finds nothing to do, and removes the mark
// afterwards. The mark is not trusted: the key is revoked, with an audit row, and stays
// revoked.
func TestA27PlantedRevocation(t *testing.T) {
	m, store, path := newManagerAt(t)
	issued := mustIssue(t, m, admin.IssueRequest{Name: "victim", Scopes: []string{"tools:*"}})
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	shell := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	shell(`UPDATE keys SET revoked_at = 1700000000000000`)
	if _, err := m.Revoke(t.Context(), issued.Key.ID, "leaked"); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	if log := events(t, store); len(log) != 2 || log[1].Action != audit.ActionRevoke {
		t.Errorf("audit: got %d rows, want the revocation told", len(log))
	}
	shell(`UPDATE keys SET revoked_at = NULL`)
	if _, err := m.Key(t.Context(), issued.Key.ID); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("Key after the mark was taken back: got %v, want ErrTampered", err)
	}
}

// A name means the key with that name that is not revoked; without one, the revoked key that
// had it last. Every command resolves names this way.
func TestResolveNamesOfRevokedKeys(t *testing.T) {
	m, _ := newManager(t)
	revoked := func(owner, name string) *keys.Key {
		t.Helper()
		k := mustIssue(t, m, admin.IssueRequest{Owner: owner, Name: name}).Key
		if _, err := m.Revoke(t.Context(), k.ID, ""); err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, b := revoked("team-a", "ci"), revoked("team-b", "ci")
	first, second := revoked("", "web"), revoked("", "web")
	revoked("", "back")
	alive := mustIssue(t, m, admin.IssueRequest{Name: "back"}).Key
	for ref, want := range map[string][]string{"back": {alive.ID}, "team-a/ci": {a.ID}, "team-b/ci": {b.ID}, "web": {first.ID, second.ID}} {
		if got, err := admin.Resolve(t.Context(), m, ref); err != nil || !slices.Contains(want, got.ID) {
			t.Errorf("Resolve(%q): got %v, %v, want one of %v", ref, got, err, want)
		}
	}
	var ambiguous *admin.AmbiguousError
	if _, err := admin.Resolve(t.Context(), m, "ci"); !errors.As(err, &ambiguous) {
		t.Errorf("Resolve(ci): got %v, want both owners' keys", err)
	}
	for _, ref := range []string{"", "missing", strings.Repeat("/", 100_000) + "x"} {
		if got, err := admin.Resolve(t.Context(), m, ref); !errors.Is(err, keys.ErrNotFound) {
			t.Errorf("Resolve(%.20q): got %v, %v, want ErrNotFound", ref, got, err)
		}
	}
}

// TestA4LongReferences: a megabyte of slashes as KEY sends no query to the store, instead of
// one for each way to split it into owner and name.
func TestA4LongReferences(t *testing.T) {
	m, _ := newManager(t)
	asked := &countingManager{Manager: m}
	if _, err := admin.Resolve(t.Context(), asked, strings.Repeat("/", 1<<20)+"x"); !errors.Is(err, keys.ErrNotFound) || asked.lists != 0 {
		t.Errorf("Resolve: got %v after %d queries, want ErrNotFound after none", err, asked.lists)
	}
}

type countingManager struct {
	admin.Manager
	lists int
}

func (m *countingManager) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	m.lists++
	return m.Manager.List(ctx, q)
}
