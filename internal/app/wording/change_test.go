package wording_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func TestChange(t *testing.T) {
	for _, tc := range []struct{ detail, want string }{
		{
			`{"after":{"kind":"key","name":"ci","owner":"ops","scopes":["tools:a","tools:b"],"audience":["mail"],"rate_limit":"60/m","metadata":{"env":"prod"},"expires_at":"2027-01-31T00:00:00Z","status":"active","version":1,"secrets":[{"number":1}]}}`,
			"scopes: tools:a tools:b, audience: mail, rate: 60/m, meta: env=prod, expires: 2027-01-31",
		},
		{`{"after":{"kind":"key","name":"ci","status":"active","version":1,"secrets":[{"number":1}]}}`, "expires: never"},
		{`{"after":{"kind":"admin","name":"ci","status":"active","version":1,"secrets":[{"number":1}]}}`, "kind: admin, expires: never"},
		{
			`{"before":{"name":"a","scopes":["tools:b","x"],"expires_at":"2027-01-31T00:00:00Z","version":1},"after":{"name":"b","scopes":["x","tools:a"],"version":2}}`,
			"name: a -> b, scopes: +tools:a -tools:b, expires: 2027-01-31 -> never",
		},
		{`{"before":{"scopes":["a","b"],"version":1},"after":{"scopes":["b","a"],"version":2}}`, "scopes: in another order"},
		{`{"before":{"owner":"ops","version":1},"after":{"version":2}}`, "owner: ops -> none"},
		{`{"before":{"metadata":{"a":"1","b":"2"}},"after":{"metadata":{"b":"3"}}}`, "meta: +b=3 -a=1 -b=2"},
		{`{"before":{"expires_at":"2027-01-31T09:00:00Z"},"after":{"expires_at":"2027-01-31T10:30:00Z"}}`, "expires: 2027-01-31 09:00 UTC -> 2027-01-31 10:30 UTC"},
		{`{"before":{"status":"active","version":1},"after":{"status":"revoked","reason":"laptop lost","version":2}}`, "status: active -> revoked, reason: laptop lost"},
		{`{"before":{"status":"active","reason":"old"},"after":{"status":"active","reason":"old"}}`, "-"},
		{`{"before":{"secrets":[{"number":1}]},"after":{"secrets":[{"number":1,"expires_at":"2026-11-24T10:00:00Z"},{"number":2}]}}`, "secrets: 1 ends 2026-11-24 10:00 UTC +2"},
		{`{"before":{"secrets":[{"number":1,"expires_at":"2026-11-24T10:00:00Z"},{"number":2}]},"after":{"secrets":[{"number":2}]}}`, "secrets: -1"},
		{`{"before":{"status":"active","tampered":true},"after":{"status":"revoked"}}`, "the row had been changed outside mcpkeys, status: active -> revoked"},
		{`{"before":{"version":1,"quota":5,"deep":{"x":[1]}},"after":{"version":2,"quota":6,"deep":{"x":[2]}}}`, "deep: +x=[2] -x=[1], quota: 5 -> 6"},
		{`{"before":{"secrets":[{"number":1,"scheme":"bcrypt","pepper":"pA"},{"number":2,"scheme":"x","pepper":"pA"}]},"after":{"secrets":[{"number":1,"scheme":"hmac-sha256","pepper":"pB"},{"number":2,"scheme":"x","pepper":"pA"}]}}`, "secrets: 1 bcrypt -> hmac-sha256 1 pepper pA -> pB"},
		{`{"backup_seq":12,"file":"b.db"}`, "backup_seq: 12, file: b.db"},
		{`{}`, "-"},
		{`{"after":null}`, "-"},
		{`{"after":{}}`, "-"},
		{`[]`, "its detail cannot be read"},
		{`{`, "its detail cannot be read"},
		{``, "its detail cannot be read"},
		{
			`{"before":{"scopes":5,"secrets":"x","expires_at":7,"name":["n"]},"after":{"scopes":["a"],"secrets":[5,{"number":"z"}],"expires_at":"soon","name":{"a":null}}}`,
			"name: -n, scopes: +a, expires: never -> never, secrets: +none +z",
		},
	} {
		if got := wording.Change(&audit.Event{Detail: tc.detail}); got != tc.want {
			t.Errorf("Change(%s): got %q, want %q", tc.detail, got, tc.want)
		}
	}
}

func TestKeyOf(t *testing.T) {
	for _, tc := range []struct{ id, detail, want string }{
		{"8Jd0sLmQ2xYz", `{"before":{"name":"old"},"after":{"name":"new","owner":"ops"}}`, "ops/new"},
		{"8Jd0sLmQ2xYz", `{"before":{"name":"old"},"after":{}}`, "old"},
		{"8Jd0sLmQ2xYz", `{`, "8Jd0sLmQ2xYz"},
		{"", `{"backup_seq":12}`, "-"},
	} {
		if got := wording.KeyOf(&audit.Event{KeyID: tc.id, Detail: tc.detail}); got != tc.want {
			t.Errorf("KeyOf(%s): got %q, want %q", tc.detail, got, tc.want)
		}
	}
	if got := wording.Action(audit.ActionRevoke) + wording.Action("store.restore"); got != "revokestore.restore" {
		t.Errorf("Action: got %q", got)
	}
}

func TestDifference(t *testing.T) {
	before := &keys.Key{Kind: keys.KindKey, Name: "ci", Scopes: []string{"tools:a"}, Version: 1}
	after := *before
	after.Name, after.Scopes, after.Version = "web", []string{"tools:b"}, 2
	got := wording.Difference(before, &after, time.Now())
	if want := []string{"name: ci -> web", "scopes: +tools:b -tools:a"}; !slices.Equal(got, want) {
		t.Errorf("Difference: got %q, want %q", got, want)
	}
	if got := wording.Difference(before, before, time.Now()); len(got) != 0 {
		t.Errorf("Difference of a key and itself: got %q", got)
	}
}

func TestMembers(t *testing.T) {
	got := wording.Members(&audit.Event{Detail: `{"before":{"name":"ci","scopes":["a","b"],"expires_at":"2027-01-31T00:00:00Z","version":1,"secrets":[{"number":1}]},
		"after":{"name":"ci","scopes":["a"],"metadata":{"k":"v"},"version":2,"secrets":[{"number":1,"expires_at":"2026-11-24T10:00:00Z"},{"number":2}],"reason":"x"}}`})
	want := []wording.Member{
		{Name: "name", Before: "ci", After: "ci"},
		{Name: "scopes", Before: "a b", After: "a", Changed: true},
		{Name: "meta", Before: "-", After: "k=v", Changed: true},
		{Name: "expires", Before: "2027-01-31 00:00 UTC", After: "never", Changed: true},
		{Name: "secrets", Before: "1", After: "1 until 2026-11-24 10:00 UTC, 2", Changed: true},
		{Name: "version", Before: "1", After: "2", Changed: true},
		{Name: "reason", Before: "-", After: "x", Changed: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("Members: got %+v, want %+v", got, want)
	}
	for _, m := range wording.Members(&audit.Event{Detail: `{"after":{"name":"ci","version":1}}`}) {
		if m.Before != "-" || m.Changed {
			t.Errorf("Members of an issue: %s was %q before, want nothing", m.Name, m.Before)
		}
	}
	if got := wording.Members(&audit.Event{Detail: `{`}); len(got) != 0 {
		t.Errorf("Members of a damaged row: got %+v", got)
	}
}
