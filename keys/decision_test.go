package keys_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// TestDecisionOrder combines every fault with every other: the code is that of the fault
// that comes first in the documented order.
func TestDecisionOrder(t *testing.T) {
	faults := []struct {
		code  keys.Code
		apply func(*keys.Key, *keys.KeySecret, *keys.Demand)
	}{
		{keys.CodeRevoked, func(k *keys.Key, _ *keys.KeySecret, _ *keys.Demand) { k.RevokedAt = noon }},
		{keys.CodeDisabled, func(k *keys.Key, _ *keys.KeySecret, _ *keys.Demand) { k.DisabledAt = noon }},
		{keys.CodeExpired, func(k *keys.Key, _ *keys.KeySecret, _ *keys.Demand) { k.ExpiresAt = noon }},
		{keys.CodeExpired, func(_ *keys.Key, s *keys.KeySecret, _ *keys.Demand) { s.ExpiresAt = noon }},
		{keys.CodeWrongKind, func(_ *keys.Key, _ *keys.KeySecret, d *keys.Demand) { d.Kind = keys.KindAdmin }},
		{keys.CodeWrongAudience, func(k *keys.Key, _ *keys.KeySecret, _ *keys.Demand) { k.Audience = []string{"other"} }},
		{keys.CodeIPNotAllowed, func(k *keys.Key, _ *keys.KeySecret, _ *keys.Demand) {
			k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}},
	}
	for set := range 1 << len(faults) {
		k, s, d := &keys.Key{Kind: keys.KindKey}, &keys.KeySecret{}, keys.Demand{Audience: "weather", ClientIP: netip.MustParseAddr("10.1.2.3")}
		want := keys.CodeValid
		for i := len(faults) - 1; i >= 0; i-- {
			if set&(1<<i) != 0 {
				faults[i].apply(k, s, &d)
				want = faults[i].code
			}
		}
		if got := k.Admit(s, noon, d); got != want {
			t.Errorf("Admit with faults %07b: got %v, want %v", set, got, want)
		}
	}
}

func TestAudience(t *testing.T) {
	for _, row := range []struct {
		key    []string
		server string
		want   keys.Code
	}{
		{nil, "", keys.CodeValid},
		{nil, "weather", keys.CodeValid},
		{[]string{"weather"}, "weather", keys.CodeValid},
		{[]string{"mail", "weather"}, "weather", keys.CodeValid},
		{[]string{"weather"}, "", keys.CodeWrongAudience},
		{[]string{"weather"}, "Weather", keys.CodeWrongAudience},
		{[]string{"weather"}, "weather/", keys.CodeWrongAudience},
		{[]string{"*"}, "weather", keys.CodeWrongAudience},
		{[]string{""}, "", keys.CodeValid},
	} {
		k := &keys.Key{Kind: keys.KindKey, Audience: row.key}
		if got := k.Admit(&keys.KeySecret{}, noon, keys.Demand{Audience: row.server}); got != row.want {
			t.Errorf("key for %q at %q: got %v, want %v", row.key, row.server, got, row.want)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, row := range []struct {
		key    keys.Kind
		demand keys.Demand
		want   keys.Code
	}{
		{keys.KindKey, keys.Demand{}, keys.CodeValid},
		{keys.KindAdmin, keys.Demand{}, keys.CodeWrongKind},
		{keys.KindAdmin, keys.Demand{Kind: keys.KindAdmin}, keys.CodeValid},
		{keys.KindKey, keys.Demand{Kind: keys.KindAdmin}, keys.CodeWrongKind},
		{keys.KindKey, keys.Demand{Any: true}, keys.CodeValid},
		{keys.KindAdmin, keys.Demand{Any: true}, keys.CodeValid},
		{"", keys.Demand{}, keys.CodeWrongKind},
	} {
		k := &keys.Key{Kind: row.key}
		if got := k.Admit(&keys.KeySecret{}, noon, row.demand); got != row.want {
			t.Errorf("%q key, demand %+v: got %v, want %v", row.key, row.demand, got, row.want)
		}
	}
	// An admin key's audience limits what it administers, not where it is used.
	admin := &keys.Key{Kind: keys.KindAdmin, Audience: []string{"weather"}}
	if got := admin.Admit(&keys.KeySecret{}, noon, keys.Demand{Kind: keys.KindAdmin}); got != keys.CodeValid {
		t.Errorf("admin key with an audience: got %v, want valid", got)
	}
}

func TestAllowedIPs(t *testing.T) {
	var prefixes []netip.Prefix
	for _, text := range []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "::ffff:198.51.100.0/120", "203.0.113.0/24"} {
		p, err := keys.ParseAllowedIP(text)
		if err != nil {
			t.Fatalf("ParseAllowedIP(%q): %v", text, err)
		}
		prefixes = append(prefixes, p)
	}
	k := &keys.Key{Kind: keys.KindKey, Name: "x", AllowedIPs: prefixes}
	if err := k.Validate(); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	for ip, want := range map[string]bool{
		"10.255.0.1": true, "::ffff:10.0.0.1": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db8::1%eth0": true,
		"192.0.2.7": true, "192.0.2.8": false, "198.51.100.9": true, "203.0.113.1": true, "::1": false, "": false,
	} {
		addr, _ := netip.ParseAddr(ip)
		got := k.Admit(&keys.KeySecret{}, noon, keys.Demand{ClientIP: addr}) == keys.CodeValid
		if got != want {
			t.Errorf("call from %q: got %v, want %v", ip, got, want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0", "host", "10.0.0.0/8,11.0.0.0/8", "fe80::1%eth0", "::ffff:0:0/95"} {
		if p, err := keys.ParseAllowedIP(text); err == nil {
			t.Errorf("ParseAllowedIP(%q): got %v, want an error", text, p)
		}
	}
}

func TestAuthorize(t *testing.T) {
	identity, err := keys.NewIdentity(&keys.Key{ID: "aaaaaaaaaaaa", Kind: keys.KindKey, Name: "ci", Owner: "o", Scopes: []string{"tools:get_*"}})
	if err != nil {
		t.Fatal(err)
	}
	valid := keys.Decision{Code: keys.CodeValid, KeyID: "aaaaaaaaaaaa", Identity: identity}
	for _, row := range []struct {
		decision keys.Decision
		required []string
		want     keys.Code
	}{
		{valid, nil, keys.CodeValid},
		{valid, []string{"tools:get_a"}, keys.CodeValid},
		{valid, []string{"tools:get_a", "tools:set_a"}, keys.CodeInsufficientScope},
		{keys.Decision{Code: keys.CodeRevoked}, []string{"tools:get_a"}, keys.CodeRevoked},
		{keys.Decision{}, nil, ""},
	} {
		got := row.decision.Authorize(row.required...)
		if got.Code != row.want || got.Valid() != (row.want == keys.CodeValid) || (got.Identity != nil) != got.Valid() {
			t.Errorf("Authorize(%q) of %v: got %+v, want %v", row.required, row.decision.Code, got, row.want)
		}
	}
	if (keys.Decision{Code: keys.CodeValid}).Valid() {
		t.Error("a decision without an identity counts as valid")
	}
}

// TestNobodyMayNothing: without a guard the identity is nil. It allows nothing and does
// not panic.
func TestNobodyMayNothing(t *testing.T) {
	i, ok := keys.IdentityFrom(t.Context())
	if ok || i != nil {
		t.Fatalf("IdentityFrom an empty context: got %v, %v", i, ok)
	}
	ctx := keys.NewContext(t.Context(), nil)
	if _, ok := keys.IdentityFrom(ctx); ok {
		t.Error("IdentityFrom: a nil identity counts as one")
	}
	for _, i := range []*keys.Identity{nil, {}} {
		if i.Allows("a") || i.Allows("") || i.AllowsAll("a") || i.KeyID() != "" || i.Name() != "" || i.Owner() != "" ||
			i.Kind() != "" || len(i.Scopes()) != 0 || len(i.Audience()) != 0 || len(i.Metadata()) != 0 || !i.ExpiresAt().IsZero() {
			t.Errorf("identity %v: allows something or names a key", i)
		}
	}
	var nobody *keys.Identity
	if nobody.AllowsAll() {
		t.Error("the nil identity was allowed an empty list")
	}
}

// TestIdentityIsImmutable: changes by a handler to the lists of an identity never affect
// the next request of the same key.
func TestIdentityIsImmutable(t *testing.T) {
	k := &keys.Key{Scopes: []string{"a:b"}, Audience: []string{"w"}, Metadata: map[string]string{"k": "v"}, ExpiresAt: time.Unix(1, 0)}
	i, err := keys.NewIdentity(k)
	if err != nil {
		t.Fatal(err)
	}
	k.Scopes[0], k.Audience[0], k.Metadata["k"] = "*", "x", "x"
	i.Scopes()[0], i.Audience()[0], i.Metadata()["k"] = "*", "x", "x"
	if i.Allows("c:d") || i.Scopes()[0] != "a:b" || i.Audience()[0] != "w" || i.Metadata()["k"] != "v" {
		t.Error("an identity was changed from outside")
	}
}

// ParseCode reads each code that a refusal can have.
func TestEveryRefusalIsACode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Code" {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		code, err := usage.ParseCode(text)
		if refusal := text != string(keys.CodeValid); refusal != (err == nil) || refusal && string(code) != text {
			t.Errorf("ParseCode(%q): got %q, %v", text, code, err)
		}
		return true
	})
	if found < 10 {
		t.Errorf("found %d codes in decision.go, want all of them", found)
	}
}
