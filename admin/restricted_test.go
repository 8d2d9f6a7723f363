package admin_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// asCaller issues an admin key and returns the manager limited to it.
func asCaller(t *testing.T, m admin.Manager, req admin.IssueRequest) *admin.Restricted {
	t.Helper()
	if req.Kind == "" {
		req.Kind = keys.KindAdmin
	}
	identity, err := keys.NewIdentity(mustIssue(t, m, req).Key)
	if err != nil {
		t.Fatal(err)
	}
	return admin.Restrict(m, identity, &admin.Options{Now: func() time.Time { return noon }})
}

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, keys.ErrDenied) {
		t.Errorf("%s: got %v, want ErrDenied", what, err)
	}
}

// TestA26Escalation: an admin key with few scopes tries to grant, or take from others, more
// than it has (Grafana CVE-2026-22640). An ordinary key, and a request without a key, try to
// administer: an ordinary key can never issue keys.
func TestA26Escalation(t *testing.T) {
	m, keyStore := newManager(t)
	full := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "full"}).Key
	plain := mustIssue(t, m, admin.IssueRequest{Name: "plain", Scopes: []string{"*"}}).Key
	before := len(events(t, keyStore))

	ordinary, err := keys.NewIdentity(plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, caller := range map[string]*keys.Identity{"ordinary key granted everything": ordinary, "without a key": nil} {
		d := admin.Restrict(m, caller, nil)
		_, err := d.Issue(t.Context(), admin.IssueRequest{Name: "x"})
		wantDenied(t, name+" issues", err)
		_, err = d.Revoke(t.Context(), plain.ID, "")
		wantDenied(t, name+" revokes", err)
		_, err = d.Key(t.Context(), plain.ID)
		wantDenied(t, name+" reads", err)
		_, err = d.List(t.Context(), keys.Query{})
		wantDenied(t, name+" lists", err)
		_, err = d.Audit(t.Context(), audit.Query{})
		wantDenied(t, name+" reads the audit log", err)
		_, err = d.Denials(t.Context(), store.DenialQuery{})
		wantDenied(t, name+" reads denials", err)
	}
	if n := len(events(t, keyStore)); n != before {
		t.Errorf("%d audit rows after denied acts, want %d", n, before)
	}

	reader := asCaller(t, m, admin.IssueRequest{Name: "reader", Scopes: []string{keys.ScopeKeysRead}})
	_, err = reader.Issue(t.Context(), admin.IssueRequest{Name: "x"})
	wantDenied(t, "reader issues", err)
	_, err = reader.Revoke(t.Context(), plain.ID, "")
	wantDenied(t, "reader revokes", err)
	_, err = reader.Audit(t.Context(), audit.Query{})
	wantDenied(t, "reader reads the audit log", err)
	_, err = reader.Denials(t.Context(), store.DenialQuery{})
	wantDenied(t, "reader reads denials", err)
	auditor := asCaller(t, m, admin.IssueRequest{Name: "auditor", Scopes: []string{keys.ScopeAuditRead}, Audience: []string{"weather"}})
	_, err = auditor.List(t.Context(), keys.Query{})
	wantDenied(t, "auditor lists", err)
	if page, err := auditor.Audit(t.Context(), audit.Query{KeyID: plain.ID}); err != nil || len(page.Events) != 1 {
		t.Errorf("auditor reads the audit log of a key for every server: got %d rows, %v, want one", len(page.Events), err)
	}

	writer := asCaller(t, m, admin.IssueRequest{Name: "writer", Scopes: []string{keys.ScopeKeysRead, keys.ScopeKeysWrite}})
	_, err = writer.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "x"})
	wantDenied(t, "writer issues a full admin key", err)
	_, err = writer.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "x", Scopes: []string{keys.ScopeAuditRead}})
	wantDenied(t, "writer issues an admin key with a scope that it lacks", err)
	_, err = writer.Revoke(t.Context(), full.ID, "")
	wantDenied(t, "writer revokes a stronger admin key", err)
	if _, err := writer.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "peer", Scopes: []string{keys.ScopeKeysRead}}); err != nil {
		t.Errorf("writer issues a weaker admin key: %v", err)
	}
	if _, err := writer.Revoke(t.Context(), plain.ID, ""); err != nil {
		t.Errorf("writer revokes an ordinary key: %v", err)
	}
	if _, err := writer.Revoke(t.Context(), "zzzzzzzzzzzz", ""); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("writer revokes an unknown key: got %v, want ErrNotFound", err)
	}
}

// TestA26Confinement: keys that an admin key issues stay within its own audience, addresses and
// life. Fields that are left out are inherited.
func TestA26Confinement(t *testing.T) {
	m, _ := newManager(t)
	prefix := netip.MustParsePrefix
	confined := asCaller(t, m, admin.IssueRequest{
		Name: "confined", Audience: []string{"weather", "mail"},
		AllowedIPs: []netip.Prefix{prefix("10.0.0.0/8")}, MaxKeyLife: 48 * time.Hour,
	})
	later, _ := keys.ParseExpiry("3d")
	sooner, _ := keys.ParseExpiry("1d")
	for name, req := range map[string]admin.IssueRequest{
		"another audience":  {Audience: []string{"payroll"}},
		"one audience more": {Audience: []string{"weather", "payroll"}},
		"another network":   {AllowedIPs: []netip.Prefix{prefix("192.0.2.0/24")}},
		"a wider network":   {AllowedIPs: []netip.Prefix{prefix("0.0.0.0/0")}},
		"one bit wider":     {AllowedIPs: []netip.Prefix{prefix("10.0.0.0/7")}},
		"another family":    {AllowedIPs: []netip.Prefix{prefix("::/0")}},
		"a longer life":     {Expires: later},
		"no end":            {Expires: keys.NeverExpires()},
	} {
		req.Name = "x"
		_, err := confined.Issue(t.Context(), req)
		wantDenied(t, name, err)
	}
	open, err := confined.Issue(t.Context(), admin.IssueRequest{Name: "open"})
	if err != nil {
		t.Fatalf("a request that leaves all open: %v", err)
	}
	if k := open.Key; len(k.Audience) != 2 || len(k.AllowedIPs) != 1 || !k.ExpiresAt.Equal(noon.Add(48*time.Hour)) {
		t.Errorf("inherited: got %v %v %v", k.Audience, k.AllowedIPs, k.ExpiresAt)
	}
	narrow, err := confined.Issue(t.Context(), admin.IssueRequest{
		Name: "narrow", Audience: []string{"mail"}, AllowedIPs: []netip.Prefix{prefix("10.1.0.0/16")}, Expires: sooner,
	})
	if err != nil {
		t.Fatalf("a request within the limits: %v", err)
	}
	if k := narrow.Key; k.Audience[0] != "mail" || k.AllowedIPs[0].Bits() != 16 || !k.ExpiresAt.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("narrowed: got %v %v %v", k.Audience, k.AllowedIPs, k.ExpiresAt)
	}
}

// TestB4AdminKeyLimits: an ordinary key does not end with the admin key that issued it, and is
// valid no longer than that key's max_key_life. An admin key expires no later than the one that
// issues, edits or rotates it, and has at most the same max_key_life.
func TestB4AdminKeyLimits(t *testing.T) {
	m, _ := newManager(t)
	end := noon.Add(3 * time.Minute)
	d := asCaller(t, m, admin.IssueRequest{Name: "robot", Expires: keys.ExpiresAt(end)})
	for name, want := range map[string]time.Duration{"": keys.DefaultLife, "90d": 90 * 24 * time.Hour, "366d": keys.DefaultMaxKeyLife} {
		e, err := keys.ParseExpiry(name)
		if err != nil {
			t.Fatal(err)
		}
		issued, err := d.Issue(t.Context(), admin.IssueRequest{Name: "an-ordinary-" + name, Expires: e})
		if err != nil || issued.Key.ExpiresAt.Sub(noon).Round(time.Second) != want {
			t.Errorf("an ordinary key for %q: got %+v, %v, want a life of %v", name, issued.Key, err, want)
		}
	}
	forever := mustIssue(t, m, admin.IssueRequest{Name: "forever", Expires: keys.NeverExpires()}).Key
	_, err := d.Rotate(t.Context(), forever.ID, admin.RotateRequest{})
	wantDenied(t, "Rotate of a key that never ends", err)
	if _, err := d.Rotate(t.Context(), forever.ID, admin.RotateRequest{Expires: expiry(t, "90d")}); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("Rotate that pulls in a key that never ends: got %v", err)
	}

	peer, err := d.Issue(t.Context(), admin.IssueRequest{Name: "peer", Kind: keys.KindAdmin})
	if err != nil || !peer.Key.ExpiresAt.Equal(end) || peer.Key.MaxKeyLife != keys.DefaultMaxKeyLife {
		t.Fatalf("an admin key that leaves all open: got %+v, %v, want the issuer's limits", peer.Key, err)
	}
	for name, req := range map[string]admin.IssueRequest{
		"a later end":           {Expires: *expiry(t, "1d")},
		"no end":                {Expires: keys.NeverExpires()},
		"a longer max_key_life": {MaxKeyLife: keys.DefaultMaxKeyLife + time.Hour},
		"no max_key_life":       {MaxKeyLife: keys.LifeForEver},
	} {
		req.Name, req.Kind = "x", keys.KindAdmin
		_, err := d.Issue(t.Context(), req)
		wantDenied(t, "an admin key with "+name, err)
	}
	for name, edit := range map[string]admin.EditRequest{
		"a later end":           {Expires: expiry(t, "1d")},
		"a longer max_key_life": {MaxKeyLife: new(keys.DefaultMaxKeyLife + time.Hour)},
		"no max_key_life":       {MaxKeyLife: new(keys.LifeForEver)},
	} {
		_, err := d.Edit(t.Context(), peer.Key.ID, edit)
		wantDenied(t, "an edit to "+name, err)
	}
	_, err = d.Rotate(t.Context(), peer.Key.ID, admin.RotateRequest{Expires: expiry(t, "1d")})
	wantDenied(t, "a rotation to a later end", err)
	if _, err := d.Rotate(t.Context(), peer.Key.ID, admin.RotateRequest{}); err != nil {
		t.Errorf("a rotation within the limits: %v", err)
	}
	stronger := mustIssue(t, m, admin.IssueRequest{Name: "stronger", Kind: keys.KindAdmin, Expires: keys.ExpiresAt(end), MaxKeyLife: keys.LifeForEver}).Key
	_, err = d.Rotate(t.Context(), stronger.ID, admin.RotateRequest{})
	wantDenied(t, "Rotate of an admin key with a longer max_key_life", err)
}

// A caller may verify keys only for servers of its own audience, and need not name a single
// one.
func TestDelegateAudience(t *testing.T) {
	m, _ := newManager(t)
	free := asCaller(t, m, admin.IssueRequest{Name: "free"})
	one := asCaller(t, m, admin.IssueRequest{Name: "one", Audience: []string{"weather"}})
	two := asCaller(t, m, admin.IssueRequest{Name: "two", Audience: []string{"weather", "maps"}})
	for _, tc := range []struct {
		name        string
		d           *admin.Restricted
		named, want string
	}{
		{"free", free, "", ""},
		{"free", free, "maps", "maps"},
		{"of one", one, "", "weather"},
		{"of one", one, "weather", "weather"},
		{"of two", two, "maps", "maps"},
	} {
		if got, err := tc.d.Audience(tc.named); err != nil || got != tc.want {
			t.Errorf("%s: Audience(%q): got %q, %v, want %q", tc.name, tc.named, got, err, tc.want)
		}
	}
	reader := asCaller(t, m, admin.IssueRequest{Name: "reader", Scopes: []string{keys.ScopeKeysRead}})
	ordinary := asCaller(t, m, admin.IssueRequest{Kind: keys.KindKey, Name: "ordinary", Scopes: []string{"verify", "*"}})
	for name, refused := range map[string]error{
		"of one, another":    second(one.Audience("maps")),
		"of one, a wildcard": second(one.Audience("*")),
		"of two, none":       second(two.Audience("")),
		"without the scope":  second(reader.Audience("")),
		"ordinary key":       second(ordinary.Audience("")),
		"without a key":      second(admin.Restrict(m, nil, nil).Audience("")),
	} {
		wantDenied(t, name, refused)
	}
}

func second[T any](_ T, err error) error { return err }
