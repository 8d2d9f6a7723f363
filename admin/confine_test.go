package admin_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// TestA26ChangingStrongerKeys: an admin key with few scopes tries to get a secret of a stronger
// one, to disable or enable it, or to give itself more by an edit. An ordinary key, and a
// request without a key, try the same.
func TestA26ChangingStrongerKeys(t *testing.T) {
	m, store := newManager(t)
	full := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "full"}).Key
	plain := mustIssue(t, m, admin.IssueRequest{Name: "plain", Scopes: []string{"*"}}).Key
	ordinary, err := keys.NewIdentity(plain)
	if err != nil {
		t.Fatal(err)
	}
	own := mustIssue(t, m, admin.IssueRequest{Kind: keys.KindAdmin, Name: "own", Scopes: []string{keys.ScopeKeysRead, keys.ScopeKeysWrite}}).Key
	identity, err := keys.NewIdentity(own)
	if err != nil {
		t.Fatal(err)
	}
	writer := admin.Restrict(m, identity, nil)
	reader := asCaller(t, m, admin.IssueRequest{Name: "reader", Scopes: []string{keys.ScopeKeysRead}})
	before := len(events(t, store))
	for who, row := range map[string]struct {
		d  *admin.Restricted
		id string
	}{
		"an ordinary key":                {admin.Restrict(m, ordinary, nil), plain.ID},
		"without a key":                  {admin.Restrict(m, nil, nil), plain.ID},
		"a reader":                       {reader, plain.ID},
		"a writer, at a stronger key":    {writer, full.ID},
		"a writer without keys:read too": {asCallerOf(t, m, own, keys.ScopeKeysWrite), own.ID},
	} {
		for name, verb := range verbs(t.Context(), row.d, row.id) {
			wantDenied(t, who+": "+name, verb())
		}
	}
	_, err = writer.Edit(t.Context(), own.ID, admin.EditRequest{Scopes: &[]string{keys.ScopeKeysRead, keys.ScopeKeysWrite, keys.ScopeAuditRead}})
	wantDenied(t, "a writer gives itself one scope more", err)
	if n := len(events(t, store)); n != before {
		t.Errorf("%d audit rows after denied acts, want %d", n, before)
	}
	for name, verb := range verbs(t.Context(), writer, plain.ID) {
		if err := verb(); err != nil && !errors.Is(err, keys.ErrConflict) { // the order of a map decides when it is disabled
			t.Errorf("a writer, at an ordinary key: %s: %v", name, err)
		}
	}
	if k, err := writer.Edit(t.Context(), own.ID, admin.EditRequest{Scopes: &[]string{keys.ScopeKeysWrite}}); err != nil || len(k.Scopes) != 1 {
		t.Errorf("a writer gives up a scope: got %v, %v", k, err)
	}
}

// asCallerOf acts as k would with other scopes.
func asCallerOf(t *testing.T, m admin.Manager, k *keys.Key, scopes ...string) *admin.Restricted {
	t.Helper()
	other := *k
	other.Scopes = scopes
	identity, err := keys.NewIdentity(&other)
	if err != nil {
		t.Fatal(err)
	}
	return admin.Restrict(m, identity, nil)
}

// TestA26ConfinedChanges: an admin key that is limited to a server, a network and a time tries
// to rotate itself a secret for elsewhere, to lift its limits by an edit, and to change keys
// outside its limits.
func TestA26ConfinedChanges(t *testing.T) {
	m, _ := newManager(t)
	prefixes := func(texts ...string) (list []netip.Prefix) {
		for _, text := range texts {
			list = append(list, netip.MustParsePrefix(text))
		}
		return list
	}
	until := keys.ExpiresAt(noon.Add(48 * time.Hour))
	bounds := admin.IssueRequest{Name: "confined", Audience: []string{"weather", "mail"}, AllowedIPs: prefixes("10.0.0.0/8"), Expires: until}
	caller := bounds
	caller.MaxKeyLife = 48 * time.Hour
	confined := asCaller(t, m, caller)
	for name, alter := range map[string]func(*admin.IssueRequest){
		"another server":  func(req *admin.IssueRequest) { req.Audience = []string{"payroll"} },
		"every server":    func(req *admin.IssueRequest) { req.Audience = nil },
		"another network": func(req *admin.IssueRequest) { req.AllowedIPs = prefixes("192.0.2.0/24") },
		"every network":   func(req *admin.IssueRequest) { req.AllowedIPs = nil },
		"a longer life":   func(req *admin.IssueRequest) { req.Expires = keys.ExpiresAt(noon.Add(49 * time.Hour)) },
		"no end":          func(req *admin.IssueRequest) { req.Expires = keys.NeverExpires() },
	} {
		req := bounds
		req.Name = name
		alter(&req)
		k := mustIssue(t, m, req).Key
		_, err := confined.Rotate(t.Context(), k.ID, admin.RotateRequest{})
		wantDenied(t, "Rotate of a key for "+name, err)
		_, err = confined.Edit(t.Context(), k.ID, admin.EditRequest{Owner: new("mine")})
		wantDenied(t, "Edit of a key for "+name, err)
		_, err = confined.Edit(t.Context(), k.ID, admin.EditRequest{Audience: &bounds.Audience, AllowedIPs: &bounds.AllowedIPs, Expires: &until})
		wantDenied(t, "Edit that pulls in a key for "+name, err)
		if _, err := m.Rotate(t.Context(), k.ID, admin.RotateRequest{}); err != nil {
			t.Fatal(err)
		}
		_, err = confined.Rotate(t.Context(), k.ID, admin.RotateRequest{Replace: 2})
		wantDenied(t, "Replace in a key for "+name, err)
		if _, err := confined.Rotate(t.Context(), k.ID, admin.RotateRequest{Finish: 1}); err != nil {
			t.Errorf("Finish hands out nothing, of a key for %s: %v", name, err)
		}
	}

	req := bounds
	req.Name = "inside"
	inside := mustIssue(t, m, req).Key
	for name, edit := range map[string]admin.EditRequest{
		"another server":    {Audience: &[]string{"payroll"}},
		"one server more":   {Audience: &[]string{"weather", "payroll"}},
		"every server":      {Audience: &[]string{}},
		"a wider network":   {AllowedIPs: new(prefixes("10.0.0.0/7"))},
		"every network":     {AllowedIPs: &[]netip.Prefix{}},
		"a longer life":     {Expires: expiry(t, "3d")},
		"no end":            {Expires: expiry(t, "never")},
		"a later timestamp": {Expires: new(keys.ExpiresAt(noon.Add(48*time.Hour + time.Microsecond)))},
	} {
		_, err := confined.Edit(t.Context(), inside.ID, edit)
		wantDenied(t, "Edit to "+name, err)
	}
	k := mustEdit(t, confined, inside.ID, admin.EditRequest{
		Audience: &[]string{"mail"}, AllowedIPs: new(prefixes("10.1.0.0/16")), Expires: expiry(t, "1d"), Name: new("narrow"),
	})
	if k.Name != "narrow" || k.Audience[0] != "mail" || !k.ExpiresAt.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("Edit within the bounds: got %+v", k)
	}
	if issued, err := confined.Rotate(t.Context(), inside.ID, admin.RotateRequest{}); err != nil || issued.Token.IsZero() {
		t.Errorf("Rotate within the bounds: %v", err)
	}
}

// moving makes another change between the check and the edit.
type moving struct {
	admin.Manager
	between func()
}

func (m *moving) Edit(ctx context.Context, id string, req admin.EditRequest) (*keys.Key, error) {
	m.between()
	return m.Manager.Edit(ctx, id, req)
}

// TestA26EditRacesAMove: a limited admin key edits a key of its own server while another
// administrator moves that key to another server. The edit was allowed for the key as it was,
// so it must not change the moved key.
func TestA26EditRacesAMove(t *testing.T) {
	m, _ := newManager(t)
	k := mustIssue(t, m, admin.IssueRequest{Name: "ci", Audience: []string{"weather"}, Scopes: []string{"tools:a"}}).Key
	moves := 0
	race := &moving{Manager: m, between: func() {
		moves++
		mustEdit(t, m, k.ID, admin.EditRequest{Audience: &[]string{"payroll"}})
	}}
	confined := asCaller(t, race, admin.IssueRequest{Name: "confined", Audience: []string{"weather"}})
	_, err := confined.Edit(t.Context(), k.ID, admin.EditRequest{Scopes: &[]string{"*"}})
	wantDenied(t, "Edit of a key that was moved away", err)
	if got, err := m.Key(t.Context(), k.ID); err != nil || got.Scopes[0] != "tools:a" || moves != 1 {
		t.Errorf("after the race: got %v, %v, %d moves, want the scopes as they were", got, err, moves)
	}

	// A change that moves nothing does not make the edit fail, unless such changes never stop.
	n := 0
	race.between = func() {
		if n++; n == 1 {
			mustEdit(t, m, k.ID, admin.EditRequest{Audience: &[]string{"weather"}, Owner: new("team-a")})
		}
	}
	mustEdit(t, m, k.ID, admin.EditRequest{Audience: &[]string{"weather"}})
	if got := mustEdit(t, confined, k.ID, admin.EditRequest{Scopes: &[]string{"tools:b"}}); got.Owner != "team-a" || got.Scopes[0] != "tools:b" {
		t.Errorf("Edit after a harmless race: got %+v", got)
	}
	race.between = func() {
		n++
		mustEdit(t, m, k.ID, admin.EditRequest{Metadata: &map[string]string{"n": time.Duration(n).String()}})
	}
	if _, err := confined.Edit(t.Context(), k.ID, admin.EditRequest{Scopes: &[]string{"tools:c"}}); !errors.Is(err, keys.ErrVersion) {
		t.Errorf("Edit that is raced for ever: got %v, want ErrVersion", err)
	}
}
