package server_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// The counts of guards are shown for a key, and in a list.
func TestUsage(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin(keys.ScopeKeysRead)
	_, id := f.Issue(admin.IssueRequest{Name: "used", Owner: "ops"})
	_, idle := f.Issue(admin.IssueRequest{Name: "idle", Owner: "ops"})
	now := time.Now().UTC().Truncate(time.Microsecond)
	early, hour := now.Add(-48*time.Hour).Truncate(time.Hour), now.Truncate(time.Hour)
	if err := f.Store.AddUse(t.Context(), []usage.Use{{
		KeyID: id, Last: []keys.LastUse{{Secret: 1, At: now, ClientIP: netip.MustParseAddr("192.0.2.1"), Agent: "curl/8.5.0"}},
		Counts: []usage.Count{{Hour: early, Code: keys.CodeRevoked, Calls: 2}, {Hour: hour, Code: keys.CodeValid, Calls: 3}, {Hour: hour, Code: keys.CodeValid, Scope: "tools:a", Calls: 1}},
	}}); err != nil {
		t.Fatalf("AddUse: %v", err)
	}
	latest := []api.UseCount{{Hour: hour, Code: "valid", Calls: 3}, {Hour: hour, Code: "valid", Scope: "tools:a", Calls: 1}}
	whole := append([]api.UseCount{{Hour: early, Code: "revoked", Calls: 2}}, latest...)
	for since, want := range map[string][]api.UseCount{
		"": latest, "?since=3h": latest, "?since=3d": whole, "?since=" + early.Add(time.Minute).Format(time.RFC3339): whole, "?since=2000-01-01T00:00:00Z": whole,
	} {
		a := f.Send("GET", "/v1/keys/"+id+"/usage"+since, adminKey, "")
		var got api.Usage
		a.Read(t, &got)
		if d := cmp.Diff(want, got.Counts); a.Status != 200 || got.ID != id || d != "" {
			t.Errorf("usage%s: got %d, counts (-want +got):\n%s", since, a.Status, d)
		}
		if d := cmp.Diff([]api.LastUse{{Secret: 1, At: now, ClientIP: "192.0.2.1", Agent: "curl/8.5.0"}}, got.LastUsed); d != "" {
			t.Errorf("usage%s: last used (-want +got):\n%s", since, d)
		}
	}
	if a := f.Send("GET", "/v1/keys/"+idle+"/usage", adminKey, ""); !strings.Contains(a.Body, `"last_used":[]`) || !strings.Contains(a.Body, `"counts":[]`) {
		t.Errorf("usage of an idle key: got %d %s, want empty lists", a.Status, a.Body)
	}
	if a := f.Send("GET", "/v1/keys/"+id+"/usage?since=yesterday", adminKey, ""); a.Status != 422 || a.Problem(t).Errors[0].Field != "since" {
		t.Errorf("usage?since=yesterday: got %d %s, want 422 with the field", a.Status, a.Body)
	}
	for one, want := range map[string]bool{id: true, idle: false} {
		var k api.Key
		f.Send("GET", "/v1/keys/"+one, adminKey, "").Read(t, &k)
		if (k.LastUsedAt != nil) != want || want && !k.LastUsedAt.Equal(now) {
			t.Errorf("GET %s: got last used %v, want it: %v", one, k.LastUsedAt, want)
		}
	}
	page := func(query string) (p api.KeyPage) {
		f.Send("GET", "/v1/keys"+query, adminKey, "").Read(t, &p)
		return p
	}
	for _, k := range page("?owner=ops").Data {
		if (k.LastUsedAt != nil) != (k.ID == id) {
			t.Errorf("list: got last used %v of %s", k.LastUsedAt, k.Name)
		}
	}

	// Without the usage file, keys are shown without their use.
	if err := os.Remove(f.Path + ".usage"); err != nil {
		t.Fatal(err)
	}
	if p := page("?owner=ops"); len(p.Data) != 2 || p.UsageKnown || p.Data[0].LastUsedAt != nil || p.Data[1].LastUsedAt != nil {
		t.Errorf("list without a usage file: got %+v, want both keys and usage_known false", p)
	}
	if a := f.Send("GET", "/v1/keys/"+id, adminKey, ""); a.Status != 200 || strings.Contains(a.Body, "last_used") {
		t.Errorf("GET without a usage file: got %d %s, want the key alone", a.Status, a.Body)
	}
	for _, path := range []string{"/v1/keys/" + id + "/usage", "/v1/keys?unused_for=1d"} {
		if a := f.Send("GET", path, adminKey, ""); a.Status != 503 || strings.Contains(a.Body, f.Path) {
			t.Errorf("GET %s without a usage file: got %d %s, want 503 without its path", path, a.Status, a.Body)
		}
	}
}
