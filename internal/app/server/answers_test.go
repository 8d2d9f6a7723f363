package server_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The main steps over HTTP: issue, read, verify, revoke, be refused.
func TestStory(t *testing.T) {
	f := servertest.New(t)
	admin, adminID := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "me"})

	r := f.Request("POST", "/v1/keys", admin, `{"name":"ci","owner":"ops","scopes":["tools:get_*"],"audience":["weather"],
		"allowed_ips":["10.0.0.7","10.1.0.0/16"],"rate_limit":"60/m:5","metadata":{"env":"prod"},"expires_in":"30d"}`)
	r.Header.Set("X-Request-Id", "ticket-4711")
	a := f.Do(r)
	var issued api.Issued
	a.Read(t, &issued)
	if a.Status != 201 || !strings.HasPrefix(issued.Secret, "mcpk_"+issued.ID+"_") {
		t.Fatalf("POST /v1/keys: got %d %s", a.Status, a.Body)
	}
	if issued.CreatedBy != "key:"+adminID || issued.Status != "active" || issued.RateLimit != "60/m:5" ||
		fmt.Sprint(issued.AllowedIPs) != "[10.0.0.7/32 10.1.0.0/16]" || issued.Metadata["env"] != "prod" {
		t.Errorf("POST /v1/keys: got %+v", issued.Key)
	}

	// The audit log says who did it, and in which request.
	events, err := f.Store.Events(t.Context(), 1, 10)
	if err != nil || len(events) != 1 {
		t.Fatalf("Events: got %v, %v, want one", events, err)
	}
	if e := events[0]; e.Actor != "key:"+adminID || e.RequestID != "ticket-4711" || a.Header.Get("X-Request-Id") != "ticket-4711" {
		t.Errorf("audit: got %+v, want the admin key and ticket-4711", e)
	}

	verify := func(more string) (v api.Verification) {
		f.Send("POST", "/v1/verify", admin, `{"key":"`+issued.Secret+`"`+more+`}`).Read(t, &v)
		return v
	}
	for _, tc := range []struct{ more, code string }{
		{`,"audience":"weather","client_ip":"10.0.0.7","scopes":["tools:get_forecast"]`, "valid"},
		{`,"audience":"weather","client_ip":"10.0.0.7","scopes":["tools:set_x"]`, "insufficient_scope"},
		{`,"audience":"weather"`, "ip_not_allowed"},
		{`,"audience":"maps","client_ip":"10.0.0.7"`, "wrong_audience"},
	} {
		v := verify(tc.more)
		if v.Code != tc.code || v.Valid != (tc.code == "valid") || v.KeyID != issued.ID || v.Valid != (v.Key != nil && v.Key.Name == "ci") {
			t.Errorf("verify%s: got %+v, want %s, and a name only if valid", tc.more, v, tc.code)
		}
	}

	var shown api.Key
	if a := f.Send("GET", "/v1/keys/"+issued.ID, admin, ""); a.Status != 200 || strings.Contains(a.Body, issued.Secret) {
		t.Errorf("GET: got %d %s, want the key without its secret", a.Status, a.Body)
	}
	a = f.Send("POST", "/v1/keys/"+issued.ID+"/revoke", admin, `{"reason":"laptop lost"}`)
	if a.Read(t, &shown); a.Status != 200 || shown.Status != "revoked" || shown.RevokedReason != "laptop lost" {
		t.Errorf("revoke: got %d %+v", a.Status, shown)
	}
	a = f.Send("POST", "/v1/keys/"+issued.ID+"/revoke", admin, "")
	if a.Read(t, &shown); a.Status != 200 || shown.RevokedReason != "laptop lost" {
		t.Errorf("revoke again: got %d %+v, want the first reason to stand", a.Status, shown)
	}
	if v := verify(`,"audience":"weather","client_ip":"10.0.0.7"`); v.Code != "revoked" || v.Key != nil {
		t.Errorf("verify after revoke: got %+v, want revoked", v)
	}
}

func TestList(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	for i := range 5 {
		f.Issue(admin.IssueRequest{Name: fmt.Sprintf("k-%d", i), Owner: "ops", Scopes: []string{"tools:get_*"}, Audience: []string{"weather"}})
	}
	_, gone := f.Issue(admin.IssueRequest{Name: "gone"})
	f.Revoke(gone)
	for _, tc := range []struct {
		query string
		want  int
	}{
		{"", 7},
		{"?unrevoked=true", 6},
		{"?status=revoked", 1},
		{"?owner=ops", 5},
		{"?owner=", 2},
		{"?kind=admin", 1},
		{"?scope=tools:get_*", 5},
		{"?scope=tools:*", 0},
		{"?audience=weather", 5},
		{"?q=K-3", 1}, // with a hyphen: ids are searched too, and one in 25 lists of keys has "k3" in an id by chance
		{"?q=%25", 0},
		{"?q=_", 0},
		{"?name=k-1", 1},
		{"?id_prefix=" + gone[:6], 1},
		{"?expiring_within=91d", 5},
		{"?expiring_within=1d", 0},
		{"?expires_by=2000-01-01T00:00:00Z", 0},
		{"?owner=ops&limit=200", 5},
		{"?unused_for=1d", 0},
		{"?unused_for=0s&owner=ops", 5},
		{"?unused_by=2000-01-01T00:00:00Z", 0},
		{"?cursor=", 7},
	} {
		a := f.Send("GET", "/v1/keys"+tc.query, adminKey, "")
		var page api.KeyPage
		if a.Read(t, &page); a.Status != 200 || len(page.Data) != tc.want || page.Data == nil {
			t.Errorf("GET /v1/keys%s: got %d with %d keys, want %d", tc.query, a.Status, len(page.Data), tc.want)
		}
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		var page api.KeyPage
		f.Send("GET", "/v1/keys?limit=3&cursor="+cursor, adminKey, "").Read(t, &page)
		for _, k := range page.Data {
			seen[k.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("paging by 3: got %d keys, want 7", len(seen))
	}
	for _, query := range []string{
		"?status=alive", "?kind=user", "?expiring_within=soon", "?expires_by=soon", "?limit=-1",
		"?unused_for=long", "?unused_by=long", "?unused_for=1d&unused_by=2000-01-01T00:00:00Z",
		"?unused_by=0001-01-01T00:00:00Z", // Go's zero time, which means no condition: it would list all keys as unused
		"?expiring_within=1d&expires_by=2000-01-01T00:00:00Z", "?unrevoked=perhaps", "?scope=a%20b", "?owner=" + strings.Repeat("x", 200),
		"?status=", "?kind=", "?name=", "?q=", "?scope=", "?audience=", "?id_prefix=", "?expiring_within=", "?expires_by=", "?unrevoked=", "?limit=", "?owner=&name=", "?unused_for=", "?unused_by=",
	} {
		if a := f.Send("GET", "/v1/keys"+query, adminKey, ""); a.Status != 422 || len(a.Problem(t).Errors) == 0 {
			t.Errorf("GET /v1/keys%.60s: got %d %s, want 422 with the field", query, a.Status, a.Body)
		}
	}
}

// Invalid values name their field, with the message of package keys.
func TestInvalidFields(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	f.Issue(admin.IssueRequest{Name: "taken"})
	for _, tc := range []struct {
		body, field string
		status      int
	}{
		{`{}`, "name", 422},
		{`{"name":""}`, "name", 422},
		{`{"name":"AbCdEfGhIjKl"}`, "name", 422},
		{`{"name":" x"}`, "name", 422},
		{`{"name":"x","scopes":["a b"]}`, "scopes", 422},
		{`{"name":"x","scopes":[1]}`, "scopes", 422},
		{`{"name":"x","scopes":[null]}`, "body", 422},
		{`{"name":"x","audience":["a b"]}`, "audience", 422},
		{`{"name":"x","allowed_ips":["10.0.0.0/99"]}`, "allowed_ips", 422},
		{`{"name":"x","rate_limit":"60"}`, "rate_limit", 422},
		{`{"name":"x","metadata":{"a":1}}`, "metadata", 422},
		{`{"name":"x","kind":"root"}`, "kind", 422},
		{`{"name":"x","expires_in":"soon"}`, "expires_in", 422},
		{`{"name":"x","expires_in":"2090-01-01T00:00:00Z"}`, "expires_in", 422},
		{`{"name":"x","expires_in":"2090-01-01"}`, "expires_in", 422},
		{`{"name":"x","expires_at":"90d"}`, "expires_at", 422},
		{`{"name":"x","expires_at":"never"}`, "expires_at", 422},
		{`{"name":"x","expires_at":"soon"}`, "expires_at", 422},
		{`{"name":"x","expires_at":"2000-01-01T00:00:00Z"}`, "expires_at", 422},
		{`{"name":"x","expires_in":"9999999y"}`, "expires_in", 422},
		{`{"name":"x","expires_in":"1d","expires_at":"2090-01-01T00:00:00Z"}`, "expires_at", 422},
		{`{"name":"taken"}`, "name", 409},
		{`{"name":"x","kind":"admin","scopes":["tools:*"]}`, "scopes", 422},
	} {
		a := f.Send("POST", "/v1/keys", adminKey, tc.body)
		p := a.Problem(t)
		if a.Status != tc.status || tc.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != tc.field) {
			t.Errorf("POST %s: got %d %s, want %d and the field %s", tc.body, a.Status, a.Body, tc.status, tc.field)
		}
	}
	for _, body := range []string{`{"key":"x","scopes":["tools:*"]}`, `{"key":"x","audience":"a b"}`, `{"key":"x","client_ip":"here"}`, `{}`} {
		if a := f.Send("POST", "/v1/verify", adminKey, body); a.Status != 422 {
			t.Errorf("verify %s: got %d %s, want 422", body, a.Status, a.Body)
		}
	}
}

// An ordinary key learns about itself, whatever server it is for; a revoked one learns nothing.
func TestWhoami(t *testing.T) {
	f := servertest.New(t)
	token, id := f.Issue(admin.IssueRequest{Name: "ci", Audience: []string{"weather"}, Scopes: []string{"tools:*"}})
	var me api.Whoami
	f.Send("GET", "/v1/whoami", token, "").Read(t, &me)
	if me.ID != id || me.Kind != "key" || me.Name != "ci" || fmt.Sprint(me.Audience) != "[weather]" || me.ExpiresAt == nil {
		t.Errorf("GET /v1/whoami: got %+v", me)
	}
	f.Revoke(id)
	if a := f.Send("GET", "/v1/whoami", token, ""); a.Status != 401 {
		t.Errorf("GET /v1/whoami after revoke: got %d, want 401", a.Status)
	}
}

// A key that was changed with a database shell is not shown, not valid and not accepted, but
// can be revoked.
func TestTamperedKey(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	token, id := f.Issue(admin.IssueRequest{Name: "ci"})
	stronger, _ := f.Issue(admin.IssueRequest{Name: "reader", Kind: keys.KindAdmin, Scopes: []string{"keys:read"}})
	db, err := sql.Open("sqlite3", f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(`UPDATE keys SET scopes = '["keys:write","*"]' WHERE name IN ('ci', 'reader')`); err != nil {
		t.Fatal(err)
	}
	if a := f.Send("GET", "/v1/keys/"+id, adminKey, ""); a.Status != 409 || a.Problem(t).Code != "tampered" {
		t.Errorf("GET: got %d %s, want 409 tampered", a.Status, a.Body)
	}
	var v api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+token+`"}`).Read(t, &v)
	if v.Valid || v.Code != "unavailable" || !v.Tampered {
		t.Errorf("verify: got %+v, want unavailable and tampered", v)
	}
	if a := f.Send("POST", "/v1/keys", stronger, `{"name":"x"}`); a.Status != 503 {
		t.Errorf("with a tampered admin key: got %d %s, want 503", a.Status, a.Body)
	}
	if a := f.Send("POST", "/v1/keys/"+id+"/revoke", adminKey, "{}"); a.Status != 200 {
		t.Errorf("revoke: got %d %s, want 200", a.Status, a.Body)
	}
}
