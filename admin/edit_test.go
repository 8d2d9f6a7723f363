package admin_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func expiry(t *testing.T, text string) *keys.Expiry {
	t.Helper()
	e, err := keys.ParseExpiry(text)
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

func mustEdit(t *testing.T, m admin.Manager, id string, req admin.EditRequest) *keys.Key {
	t.Helper()
	k, err := m.Edit(t.Context(), id, req)
	if err != nil {
		t.Fatalf("Edit: %v", err)
	}
	return k
}

// TestEditChangesWhatIsNamed: one field at a time, and all others stay.
func TestEditChangesWhatIsNamed(t *testing.T) {
	l := newLife(t)
	full := admin.IssueRequest{
		Name: "ci", Owner: "team-a", Scopes: []string{"tools:a"}, Audience: []string{"weather"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RateLimit: keys.RateLimit{Count: 60, Window: time.Minute, Burst: 60},
		Metadata: map[string]string{"env": "prod"},
	}
	for name, row := range map[string]struct {
		req  admin.EditRequest
		want func(*keys.Key)
	}{
		"name":        {admin.EditRequest{Name: new("web")}, func(k *keys.Key) { k.Name = "web" }},
		"owner":       {admin.EditRequest{Owner: new("team-b")}, func(k *keys.Key) { k.Owner = "team-b" }},
		"no owner":    {admin.EditRequest{Owner: new("")}, func(k *keys.Key) { k.Owner = "" }},
		"scopes":      {admin.EditRequest{Scopes: &[]string{"tools:b", "tools:b"}}, func(k *keys.Key) { k.Scopes = []string{"tools:b"} }},
		"no scopes":   {admin.EditRequest{Scopes: &[]string{}}, func(k *keys.Key) { k.Scopes = nil }},
		"audience":    {admin.EditRequest{Audience: &[]string{"mail"}}, func(k *keys.Key) { k.Audience = []string{"mail"} }},
		"no address":  {admin.EditRequest{AllowedIPs: &[]netip.Prefix{}}, func(k *keys.Key) { k.AllowedIPs = nil }},
		"no limit":    {admin.EditRequest{RateLimit: &keys.RateLimit{}}, func(k *keys.Key) { k.RateLimit = keys.RateLimit{} }},
		"no metadata": {admin.EditRequest{Metadata: &map[string]string{}}, func(k *keys.Key) { k.Metadata = nil }},
		"longer":      {admin.EditRequest{Expires: expiry(t, "1y")}, func(k *keys.Key) { k.ExpiresAt = noon.AddDate(0, 0, 365) }},
		"shorter":     {admin.EditRequest{Expires: expiry(t, "1h")}, func(k *keys.Key) { k.ExpiresAt = noon.Add(time.Hour) }},
		"no end":      {admin.EditRequest{Expires: expiry(t, "never")}, func(k *keys.Key) { k.ExpiresAt = time.Time{} }},
	} {
		want := mustIssue(t, l, full).Key
		got := mustEdit(t, l, want.ID, row.req)
		row.want(want)
		want.Version = 2
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(keys.Key{}, "Seal"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("Edit of %s (-want +got):\n%s", name, d)
		}
		if again := mustEdit(t, l, want.ID, row.req); again.Version != 2 {
			t.Errorf("Edit of %s again: got version %d, want no change", name, again.Version)
		}
		if _, err := l.Revoke(t.Context(), want.ID, ""); err != nil { // frees the name for the next one
			t.Fatal(err)
		}
	}
	log := events(t, l.store)
	if row := log[1]; row.Action != audit.ActionEdit || !strings.Contains(row.Detail, `{"before":{`) || !strings.Contains(row.Detail, `"version":2`) {
		t.Errorf("audit: got %+v", row)
	}
}

// TestEditLosesNoUpdate: an edit of a key that was changed since gets an error, and nothing is
// overwritten.
func TestEditLosesNoUpdate(t *testing.T) {
	l := newLife(t)
	k := mustIssue(t, l, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:a"}}).Key
	mustEdit(t, l, k.ID, admin.EditRequest{Scopes: &[]string{"tools:a", "tools:b"}, IfVersion: 1})
	_, err := l.Edit(t.Context(), k.ID, admin.EditRequest{Scopes: &[]string{"tools:a", "tools:c"}, IfVersion: 1})
	if !errors.Is(err, keys.ErrVersion) || !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Edit of an older version: got %v, want ErrVersion", err)
	}
	if got := mustEdit(t, l, k.ID, admin.EditRequest{Scopes: &[]string{"tools:c"}}); got.Version != 3 {
		t.Errorf("Edit that does not care: got version %d, want 3", got.Version)
	}
}

// TestBadEditChangesNothing: a refused edit leaves the key and the log as they were.
func TestBadEditChangesNothing(t *testing.T) {
	l := newLife(t)
	mustIssue(t, l, admin.IssueRequest{Name: "taken", Owner: "o"})
	k := mustIssue(t, l, admin.IssueRequest{Name: "ci", Owner: "o"}).Key
	adminKey := mustIssue(t, l, admin.IssueRequest{Name: "root", Kind: keys.KindAdmin}).Key
	before := len(events(t, l.store))
	token := keys.NewToken(keys.KindKey).Secret().Reveal()
	for name, row := range map[string]struct {
		id    string
		req   admin.EditRequest
		field string
	}{
		"nothing":         {k.ID, admin.EditRequest{}, "edit"},
		"only a version":  {k.ID, admin.EditRequest{IfVersion: 1}, "edit"},
		"a bad version":   {k.ID, admin.EditRequest{Name: new("x"), IfVersion: -1}, "if_version"},
		"no name":         {k.ID, admin.EditRequest{Name: new("")}, "name"},
		"a key as name":   {k.ID, admin.EditRequest{Name: &token}, "name"},
		"a key as note":   {k.ID, admin.EditRequest{Metadata: &map[string]string{"k": token}}, "metadata"},
		"a bad scope":     {k.ID, admin.EditRequest{Scopes: &[]string{"canary scope"}}, "scopes"},
		"no admin scope":  {adminKey.ID, admin.EditRequest{Scopes: &[]string{"tools:a"}}, "scopes"},
		"default expiry":  {k.ID, admin.EditRequest{Expires: &keys.Expiry{}}, "expires"},
		"a past expiry":   {k.ID, admin.EditRequest{Expires: expiry(t, "2020-01-01")}, "expires"},
		"a bad rate":      {k.ID, admin.EditRequest{RateLimit: &keys.RateLimit{Count: -1}}, "rate_limit"},
		"a wide audience": {k.ID, admin.EditRequest{Audience: &[]string{""}}, "audience"},
	} {
		_, err := l.Edit(t.Context(), row.id, row.req)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != row.field {
			t.Errorf("Edit with %s: got %v, want an InvalidError of %s", name, err, row.field)
		} else if strings.Contains(err.Error(), "canary") || keys.LooksLikeToken(err.Error()) {
			t.Errorf("Edit with %s: the error repeats the value", name)
		}
	}
	if _, err := l.Edit(t.Context(), k.ID, admin.EditRequest{Name: new("taken")}); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("Edit to a taken name: got %v, want ErrNameTaken", err)
	}
	if n := len(events(t, l.store)); n != before {
		t.Errorf("%d audit rows after refused edits, want %d", n, before)
	}
}

// TestEditRevivesNobody: an expired key gets no new expiry, and neither does a secret in its
// grace.
func TestEditRevivesNobody(t *testing.T) {
	l := newLife(t)
	end := noon.Add(48 * time.Hour)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci", Expires: keys.ExpiresAt(end)})
	id := first.Key.ID
	second := l.mustRotate(id, admin.RotateRequest{})
	both := map[string]keys.Secret{"old": first.Token, "new": second.Token}

	short := noon.Add(time.Hour)
	k := mustEdit(t, l, id, admin.EditRequest{Expires: expiry(t, "1h")})
	if !k.ExpiresAt.Equal(short) || !k.Secrets[0].ExpiresAt.Equal(short) {
		t.Errorf("shortened: the key ends at %v, its old secret at %v; want both at %v", k.ExpiresAt, k.Secrets[0].ExpiresAt, short)
	}
	mustEdit(t, l, id, admin.EditRequest{Expires: expiry(t, "1y")})
	l.now = short
	l.wantCodes("lengthened again", both, map[string]keys.Code{"old": keys.CodeExpired, "new": keys.CodeValid})

	mustEdit(t, l, id, admin.EditRequest{Expires: expiry(t, "1h")})
	l.now = l.now.Add(time.Hour)
	for _, text := range []string{"90d", "never"} {
		_, err := l.Edit(t.Context(), id, admin.EditRequest{Expires: expiry(t, text)})
		wantConflict(t, "Edit of an expired key to "+text, err, "issue a new key")
	}
	if k := mustEdit(t, l, id, admin.EditRequest{Owner: new("archive")}); k.Status(l.now) != keys.StatusExpired {
		t.Errorf("Edit of another field: got %s, want it still expired", k.Status(l.now))
	}
}
