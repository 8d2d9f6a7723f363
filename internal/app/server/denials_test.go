package server_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Refused requests are shown as they were recorded, over HTTP and by the client.
func TestDenials(t *testing.T) {
	f := servertest.New(t)
	auditor := f.Admin(keys.ScopeAuditRead)
	if a := f.Send("GET", "/v1/denials", auditor, ""); a.Status != 200 || !strings.Contains(a.Body, `"data":[]`) {
		t.Errorf("GET /v1/denials of none: got %d %s", a.Status, a.Body)
	}
	minute := time.Now().UTC().Truncate(time.Minute)
	list := []usage.Denial{
		{Minute: minute, Code: keys.CodeRevoked, KeyID: "aaaaaaaaaaaa", Proved: true, Source: netip.MustParsePrefix("2001:db8::/64"), Audience: "weather", Agent: "curl/8", Calls: 3},
		{Minute: minute.Add(-time.Hour), Code: keys.CodeMalformed, Calls: 1},
	}
	if err := f.Store.AddDenials(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"": 2, "?key_id=aaaaaaaaaaaa": 1, "?code=malformed": 1, "?code=expired": 0, "?since=10m": 1, "?limit=1": 1, "?since=10m&code=malformed": 0,
	} {
		var got api.Denials
		a := f.Send("GET", "/v1/denials"+query, auditor, "")
		a.Read(t, &got)
		if a.Status != 200 || len(got.Data) != want {
			t.Errorf("GET /v1/denials%s: got %d %s, want %d rows", query, a.Status, a.Body, want)
		}
	}
	for query, field := range map[string]string{
		"?key_id=": "key_id", "?key_id=ci": "key_id", "?code=": "code", "?code=Revoked%20": "code", "?since=never": "since", "?limit=0": "limit", "?cursor=1": "query",
	} {
		if a := f.Send("GET", "/v1/denials"+query, auditor, ""); a.Status != 422 || a.Problem(t).Errors[0].Field != field {
			t.Errorf("GET /v1/denials%s: got %d %s, want 422 of %s", query, a.Status, a.Body, field)
		}
	}
	c, err := client.New(f.URL, keys.NewSecret(auditor), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Denials(t.Context(), store.DenialQuery{Limit: 1 << 20})
	if d := cmp.Diff(list, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); err != nil || d != "" {
		t.Errorf("Denials through the API: %v (-stored +got):\n%s", err, d)
	}
	for _, q := range []store.DenialQuery{{KeyID: "ci"}, {Since: minute.Add(time.Hour)}, {Code: keys.CodeExpired}} {
		if got, err := c.Denials(t.Context(), q); err != nil || len(got) != 0 {
			t.Errorf("Denials(%+v): got %v, %v, want none", q, got, err)
		}
	}
}

// Requests that the API itself refused are included, once the server has recorded them.
func TestAPIDenialsAreSampled(t *testing.T) {
	f := servertest.New(t)
	token, id := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin})
	f.Revoke(id)
	for range 2 {
		f.Send("GET", "/v1/keys", token, "")
	}
	f.Close()
	got, err := f.Store.Denials(t.Context(), store.DenialQuery{KeyID: id})
	if err != nil || len(got) != 1 || got[0].Code != keys.CodeRevoked || got[0].Calls != 2 || !got[0].Proved {
		t.Errorf("Denials: got %+v, %v, want two calls of the revoked key", got, err)
	}
}
