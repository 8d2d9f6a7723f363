package server_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// verdict verifies a token through the API.
func verdict(t *testing.T, f *servertest.Fixture, admin, token string) string {
	t.Helper()
	var v api.Verification
	f.Send("POST", "/v1/verify", admin, `{"key":"`+token+`"}`).Read(t, &v)
	return v.Code
}

// A key's life over HTTP: rotated with a grace, finished, disabled, enabled, edited.
func TestLife(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	first, id := f.Issue(admin.IssueRequest{Name: "ci", Owner: "ops"})
	at := "/v1/keys/" + id

	var second api.Issued
	a := f.Send("POST", at+"/rotate", adminKey, `{"grace":"1h"}`)
	if a.Read(t, &second); a.Status != 200 || !strings.HasPrefix(second.Secret, "mcpk_"+id+"_") || len(second.Secrets) != 2 || second.Secrets[0].ExpiresAt == nil || second.Owner != "ops" {
		t.Fatalf("rotate: got %d %+v", a.Status, second.Key)
	}
	if got := a.Header.Get("ETag"); got != `"2"` {
		t.Errorf("rotate: got ETag %s, want \"2\"", got)
	}
	if old, fresh := verdict(t, f, adminKey, first), verdict(t, f, adminKey, second.Secret); old != "valid" || fresh != "valid" {
		t.Errorf("in the grace: got %s and %s, want both valid", old, fresh)
	}
	for _, body := range []string{"", `{"grace":"0"}`, `{"expires_in":"90d"}`, `{"finish":2}`, `{"finish":3}`, `{"replace":1}`, `{"replace":7}`} {
		a = f.Send("POST", at+"/rotate", adminKey, body)
		p := a.Problem(t)
		if a.Status != 409 || p.Code != "conflict" || !strings.Contains(p.Detail, "finish 1 ends") || !strings.Contains(p.Detail, "replace 2 ends secret 2") ||
			p.Rotation == nil || p.Rotation.Finish != 1 || p.Rotation.Replace != 2 || p.Rotation.Until == nil {
			t.Errorf("rotate again, %s: got %d %+v, want 409 and both ways on", body, a.Status, p)
		}
		if old, fresh := verdict(t, f, adminKey, first), verdict(t, f, adminKey, second.Secret); old != "valid" || fresh != "valid" {
			t.Errorf("after the conflict of %s: got %s and %s, want both valid", body, old, fresh)
		}
	}
	for _, body := range []string{`{"finish":true}`, `{"finish":0}`, `{"replace":0}`, `{"finish":-1}`, `{"finish":"1"}`, `{"finish":1.5}`, `{"finish":1,"replace":2}`, `{"finish":1,"grace":"1h"}`, `{"finish":1,"expires_in":"90d"}`} {
		if a := f.Send("POST", at+"/rotate", adminKey, body); a.Status != 422 {
			t.Errorf("rotate, %s: got %d %s, want 422", body, a.Status, a.Body)
		}
	}
	a = f.Send("POST", at+"/rotate", adminKey, `{"finish":1}`)
	if a.Status != 200 || strings.Contains(a.Body, `"secret"`) {
		t.Errorf("finish: got %d %s, want no secret", a.Status, a.Body)
	}
	if old, fresh := verdict(t, f, adminKey, first), verdict(t, f, adminKey, second.Secret); old != "superseded" || fresh != "valid" {
		t.Errorf("after finish: got %s and %s, want the new one alone", old, fresh)
	}

	var k api.Key
	if a := f.Send("POST", at+"/disable", adminKey, `{"reason":"odd"}`); a.Status != 200 || verdict(t, f, adminKey, second.Secret) != "disabled" {
		t.Errorf("disable: got %d %s", a.Status, a.Body)
	}
	if a := f.Send("POST", at+"/rotate", adminKey, ""); a.Status != 409 {
		t.Errorf("rotate of a disabled key: got %d %s, want 409", a.Status, a.Body)
	}
	if a := f.Send("POST", at+"/enable", adminKey, ""); a.Status != 200 || verdict(t, f, adminKey, second.Secret) != "valid" {
		t.Errorf("enable: got %d %s", a.Status, a.Body)
	}
	a = f.Send("PATCH", at, adminKey, `{"name":"web","scopes":["tools:a"],"audience":["mail"],"allowed_ips":["10.0.0.7"],"rate_limit":"60/m","metadata":{"env":"prod"},"expires_in":"never"}`)
	if a.Read(t, &k); a.Status != 200 || k.Name != "web" || k.Owner != "ops" || k.ExpiresAt != nil || k.RateLimit != "60/m" || k.AllowedIPs[0] != "10.0.0.7/32" || k.Metadata["env"] != "prod" {
		t.Errorf("edit: got %d %+v", a.Status, k)
	}
	a = f.Send("PATCH", at, adminKey, `{"owner":"","rate_limit":"","metadata":{},"audience":[],"allowed_ips":[],"expires_at":"2090-01-31T00:00:00Z"}`)
	k = api.Key{} // decoding into a map keeps its old entries
	if a.Read(t, &k); a.Status != 200 || k.Name != "web" || k.Owner != "" || k.RateLimit != "" || len(k.Metadata)+len(k.Audience)+len(k.AllowedIPs) != 0 || k.ExpiresAt.Year() != 2090 {
		t.Errorf("edit to nothing: got %d %+v", a.Status, k)
	}
}

// Ambiguous edits are refused. A null does not mean "none": a caller who means "never" by it
// must not keep the old value.
func TestEditRefuses(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	_, id := f.Issue(admin.IssueRequest{Name: "ci"})
	for _, tc := range []struct{ body, field string }{
		{`{}`, "body"},
		{`{"name":null}`, "body"},
		{`{"owner":"x","expires_at":null}`, "body"},
		{`{"scopes":null}`, "body"},
		{`{"metadata":null}`, "body"},
		{`{"rate_limit":null}`, "body"},
		{`{"expires_at":null}`, "body"},
		{`{"expires_in":""}`, "expires_in"},
		{`{"expires_at":""}`, "expires_at"},
		{`{"expires_in":"0d"}`, "expires_in"},
		{`{"expires_in":"1d","expires_at":"never"}`, "expires_at"},
		{`{"name":""}`, "name"},
		{`{"scopes":["a b"]}`, "scopes"},
		{`{"rate_limit":"often"}`, "rate_limit"},
		{`{"allowed_ips":["here"]}`, "allowed_ips"},
		{`{"kind":"admin"}`, "body"},
		{`{"id":"abcdefghijkl","name":"x"}`, "body"},
		{`{"revoked_at":null}`, "body"},
		{`{"metadata":{"a":1}}`, "metadata"},
		{`{"expires_at":"2020-01-01T00:00:00Z"}`, "expires_at"},
		{`{"audience":["https://mcp.example /mcp"]}`, "audience"},
	} {
		body, field := tc.body, tc.field
		before := f.State()
		a := f.Send("PATCH", "/v1/keys/"+id, adminKey, body)
		if p := a.Problem(t); a.Status != 422 || len(p.Errors) == 0 || p.Errors[0].Field != field {
			t.Errorf("PATCH %s: got %d %+v, want 422 and the field %s", body, a.Status, p, field)
		}
		if after := f.State(); after != before {
			t.Errorf("PATCH %s: changed %+v to %+v", body, before, after)
		}
	}
}

// TestIfMatch: each change of a key takes If-Match. A matching one allows the change, also in a
// list; another one gets 412 and changes nothing; and one that is not an ETag of this API gets
// an error that says so.
func TestIfMatch(t *testing.T) {
	for _, verb := range []struct{ method, path, body string }{
		{"PATCH", "", `{"owner":"b"}`},
		{"POST", "/rotate", `{}`},
		{"POST", "/disable", `{}`},
		{"POST", "/enable", `{}`},
		{"POST", "/revoke", `{}`},
	} {
		t.Run(verb.method+verb.path, func(t *testing.T) {
			f := servertest.New(t)
			adminKey := f.Admin()
			change := func(id string, match ...string) servertest.Answer {
				r := f.Request(verb.method, "/v1/keys/"+id+verb.path, adminKey, verb.body)
				r.Header["If-Match"] = match
				return f.Do(r)
			}
			_, id := f.Issue(admin.IssueRequest{Name: "ci"})
			if a := f.Send("PATCH", "/v1/keys/"+id, adminKey, `{"owner":"a"}`); a.Header.Get("ETag") != `"2"` {
				t.Fatalf("PATCH: got %d %s", a.Status, a.Body)
			}
			if verb.path == "/enable" {
				f.Send("POST", "/v1/keys/"+id+"/disable", adminKey, "")
				f.Send("PATCH", "/v1/keys/"+id, adminKey, `{"owner":"b"}`)
			}
			before := f.State()
			for status, lists := range map[int][][]string{
				412: {{`"1"`}, {`"9"`}, {`"02"`}, {`"+2"`}, {`"x"`}, {""}, {`"0"`}, {`"-1"`}, {`"1", "7"`}, {`"1"`, `"7"`}, {`"99999999999999999999"`}},
				422: {{"2"}, {`W/"2"`}, {`"1", W/"2"`}, {`"2`}, {"*", "*"}},
			} {
				for _, match := range lists {
					a := change(id, match...)
					if p := a.Problem(t); a.Status != status || status == 422 && p.Errors[0].Field != "If-Match" {
						t.Errorf("if %q: got %d %+v, want %d", match, a.Status, p, status)
					}
				}
			}
			if after := f.State(); after != before {
				t.Errorf("refused changes: from %+v to %+v", before, after)
			}
			version := f.Send("GET", "/v1/keys/"+id, adminKey, "").Header.Get("ETag")
			if a := change(id, `"1"`, version+`, "7"`); a.Status != 200 {
				t.Errorf("if one of a list fits: got %d %s, want 200", a.Status, a.Body)
			}
			_, another := f.Issue(admin.IssueRequest{Name: "another"})
			if a := change(another, "*"); a.Status != 200 {
				t.Errorf("if *: got %d %s, want 200", a.Status, a.Body)
			}
		})
	}
}

// TestEveryFaultIsTold: a request with several wrong members gets all their errors at once,
// each under its name in the request.
func TestEveryFaultIsTold(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	_, id := f.Issue(admin.IssueRequest{Name: "ci"})
	for _, tc := range []struct {
		method, path, body string
		want               []string
	}{
		{"POST", "/v1/keys", `{"name":"","scopes":["a b"],"audience":["a,b"],"rate_limit":"often","expires_in":"soon"}`, []string{"audience", "expires_in", "name", "rate_limit", "scopes"}},
		{"POST", "/v1/keys", `{"name":"","scopes":["a b"],"audience":["a,b"],"metadata":{"":"x"}}`, []string{"audience", "metadata", "name", "scopes"}},
		{"POST", "/v1/keys", `{"name":"","allowed_ips":["10.1.2.3/8"],"max_key_life":"long","expires_at":"1999-01-01"}`, []string{"allowed_ips", "expires_at", "max_key_life", "name"}},
		{"PATCH", "/v1/keys/" + id, `{"name":"","scopes":["a b"],"rate_limit":"often","expires_at":"soon"}`, []string{"expires_at", "name", "rate_limit", "scopes"}},
		{"PATCH", "/v1/keys/" + id, `{"name":"","owner":"\u0001"}`, []string{"name", "owner"}},
	} {
		a := f.Send(tc.method, tc.path, adminKey, tc.body)
		var got []string
		for _, e := range a.Problem(t).Errors {
			got = append(got, e.Field)
			if e.Message == "" {
				t.Errorf("%s %s: %s has no message", tc.method, tc.body, e.Field)
			}
		}
		slices.Sort(got)
		if a.Status != 422 || !slices.Equal(got, tc.want) {
			t.Errorf("%s %s: got %d %v, want %v", tc.method, tc.body, a.Status, got, tc.want)
		}
	}
}

func send(f *servertest.Fixture, method, path, token, body string, words ...string) servertest.Answer {
	r := f.Request(method, path, token, body)
	if words != nil {
		r.Header["Idempotency-Key"] = words
	}
	return f.Do(r)
}

// TestB2RepeatedRequests: a client whose answer was lost sends the request again, and nothing
// happens twice. A secret is only in the first answer; any other answer is repeated unchanged,
// whatever happened since.
func TestB2RepeatedRequests(t *testing.T) {
	f := servertest.New(t)
	admin, other := f.Admin(), f.Admin(keys.ScopeKeysWrite)
	var first api.Issued
	send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-1").Read(t, &first)
	at := "/v1/keys/" + first.ID
	delivered := func(what string, a servertest.Answer, number string) {
		t.Helper()
		p := a.Problem(t)
		if a.Status != 409 || p.Code != "secret_already_delivered" || !strings.Contains(p.Detail, first.ID) || !strings.Contains(p.Detail, "replace "+number) {
			t.Errorf("%s: got %d %s, want 409 secret_already_delivered that names the key and replace %s", what, a.Status, a.Body, number)
		}
	}
	before := f.State()
	delivered("issue again", send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-1"), "1")
	if after := f.State(); after != before {
		t.Errorf("issue again: changed %+v to %+v", before, after)
	}
	var rotated api.Issued
	send(f, "POST", at+"/rotate", admin, `{"grace":"1h"}`, "deploy-1").Read(t, &rotated)
	before = f.State()
	delivered("rotate again", send(f, "POST", at+"/rotate", admin, `{"grace":"1h"}`, "deploy-1"), "2")
	if after := f.State(); after != before || verdict(t, f, admin, first.Secret) != "valid" || verdict(t, f, admin, rotated.Secret) != "valid" {
		t.Errorf("rotate again: changed %+v to %+v, or ended a secret", before, after)
	}
	// Do what the conflict says.
	var replaced api.Issued
	if a := f.Send("POST", at+"/rotate", admin, `{"replace":2}`); a.Status != 200 {
		t.Errorf("replace: got %d %s", a.Status, a.Body)
	} else if a.Read(t, &replaced); verdict(t, f, admin, replaced.Secret) != "valid" || verdict(t, f, admin, rotated.Secret) != "superseded" {
		t.Errorf("replace: got %+v", replaced.Key)
	}

	// A late repetition neither undoes later changes nor shows them.
	enabled := send(f, "POST", at+"/enable", admin, "", "start")
	send(f, "POST", at+"/disable", admin, "", "stop")
	send(f, "PATCH", at, admin, `{"metadata":{"note":"later"}}`)
	if a := send(f, "POST", at+"/enable", admin, "", "start"); a.Status != 200 || sansEffect(a.Body) != sansEffect(enabled.Body) || a.Header.Get("Idempotency-Replayed") != "true" || a.Header.Get("ETag") != enabled.Header.Get("ETag") {
		t.Errorf("enable again, after disable: got %d %s, want the first answer %s", a.Status, a.Body, enabled.Body)
	}
	var k api.Key
	if f.Send("GET", at, admin, "").Read(t, &k); k.Status != "disabled" {
		t.Errorf("enable again, after disable: the key is %s, want disabled", k.Status)
	}

	// An edit ignores the Idempotency-Key and is made each time: a scope that was given back in
	// between, for example by a restore, is removed again, as the answer says.
	for range 2 {
		send(f, "PATCH", at, admin, `{"scopes":["tools:a","tools:b"]}`)
		a := send(f, "PATCH", at, admin, `{"scopes":["tools:a"]}`, "narrow")
		if f.Send("GET", at, admin, "").Read(t, &k); a.Status != 200 || a.Header.Get("Idempotency-Replayed") != "" || !slices.Equal(k.Scopes, []string{"tools:a"}) {
			t.Errorf("a narrowing that is repeated: got %d %s, and scopes %q, want it carried out", a.Status, a.Body, k.Scopes)
		}
	}

	// The same Idempotency-Key of another caller, for another key or operation, is another
	// request.
	if a := send(f, "POST", "/v1/keys", other, `{"name":"cj"}`, "deploy-1"); a.Status != 201 || a.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the same word by another caller: got %d %s", a.Status, a.Body)
	}
	if a := send(f, "POST", "/v1/keys", admin, `{"name":"ck"}`, "deploy-1"); a.Status != 422 || a.Problem(t).Errors[0].Field != "Idempotency-Key" {
		t.Errorf("the same word for another body: got %d %s", a.Status, a.Body)
	}

	// A failed request may be tried again.
	if a := send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-2"); a.Status != 409 {
		t.Errorf("a taken name: got %d %s", a.Status, a.Body)
	}
	revoked := send(f, "POST", at+"/revoke", other, `{"reason":"leaked"}`, "deploy-1")
	send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-2")
	// A caller that may not read keys gets only its own first answer again.
	if a := send(f, "POST", at+"/revoke", other, `{"reason":"leaked"}`, "deploy-1"); a.Status != 200 || sansEffect(a.Body) != sansEffect(revoked.Body) || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("revoke again: got %d %s, want the first answer", a.Status, a.Body)
	}
	for _, words := range [][]string{{""}, {"a", "a"}, {strings.Repeat("x", 129)}, {" \u202e"}} {
		a := send(f, "POST", "/v1/keys", admin, `{"name":"cl"}`, words...)
		if p := a.Problem(t); a.Status != 422 || p.Errors[0].Field != "Idempotency-Key" || keys.LooksLikeToken(a.Body) {
			t.Errorf("Idempotency-Key %d long: got %d %s, want 422", len(words[0]), a.Status, a.Body)
		}
	}
}

// TestConcurrentDuplicates: the same request many times at once makes one key; the others get
// the conflict.
func TestConcurrentDuplicates(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	answers := make([]servertest.Answer, 16)
	var wg sync.WaitGroup
	for i := range answers {
		r := f.Request("POST", "/v1/keys", admin, `{"name":"ci"}`)
		r.Header.Set("Idempotency-Key", "one")
		wg.Go(func() { answers[i] = f.Do(r) })
	}
	wg.Wait()
	secrets := 0
	for _, a := range answers {
		switch {
		case a.Status == 409 && a.Problem(t).Code == "secret_already_delivered":
		case a.Status == 201 && strings.Contains(a.Body, `"secret":"mcpk_`):
			secrets++
		default:
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
	if secrets != 1 {
		t.Errorf("got %d secrets, want 1", secrets)
	}
}

// TestB4AdminKeyBoundsLives: a key that an admin key issues does not end with it, but is valid
// no longer than its max_key_life. An issued admin key does end with it.
func TestB4AdminKeyBoundsLives(t *testing.T) {
	f := servertest.New(t)
	admin, _ := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Expires: keys.ExpiresAt(time.Now().Add(24 * time.Hour))})
	for body, status := range map[string]int{
		`{"name":"a","expires_in":"90d"}`:                    201,
		`{"name":"b"}`:                                       201,
		`{"name":"c","expires_in":"366d"}`:                   201,
		`{"name":"d","expires_in":"367d"}`:                   403,
		`{"name":"e","expires_in":"never"}`:                  403,
		`{"name":"f","kind":"admin"}`:                        201,
		`{"name":"g","kind":"admin","expires_in":"90d"}`:     403,
		`{"name":"h","kind":"admin","max_key_life":"never"}`: 403,
		`{"name":"i","kind":"admin","max_key_life":"367d"}`:  403,
		`{"name":"j","kind":"admin","max_key_life":"30d"}`:   201,
		`{"name":"k","max_key_life":"30d"}`:                  422,
		`{"name":"l","kind":"admin","max_key_life":"soon"}`:  422,
	} {
		if a := f.Send("POST", "/v1/keys", admin, body); a.Status != status {
			t.Errorf("issue %s: got %d %s, want %d", body, a.Status, a.Body, status)
		}
	}
	var k api.Issued
	f.Send("POST", "/v1/keys", admin, `{"name":"m"}`).Read(t, &k)
	if d := k.ExpiresAt.Sub(k.CreatedAt); d < keys.DefaultLife-time.Minute || len(k.Warnings) == 0 {
		t.Errorf("a key without an expiry lives %v, want %v; warnings %q", d, keys.DefaultLife, k.Warnings)
	}
	if a := f.Send("POST", "/v1/keys/"+k.ID+"/rotate", admin, `{"expires_in":"367d"}`); a.Status != 403 {
		t.Errorf("rotate beyond max_key_life: got %d %s", a.Status, a.Body)
	}
	if a := f.Send("PATCH", "/v1/keys/"+k.ID, admin, `{"expires_in":"never"}`); a.Status != 403 {
		t.Errorf("edit beyond max_key_life: got %d %s", a.Status, a.Body)
	}
}

// TestB5GraceIsTold: during the grace, whoami and verify say when the secret ends, not only
// when its key does; after the grace they say that it ended.
func TestB5GraceIsTold(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin()
	first, id := f.Issue(admin.IssueRequest{Name: "ci"})
	var second api.Issued
	f.Send("POST", "/v1/keys/"+id+"/rotate", adminKey, `{"grace":"1h"}`).Read(t, &second)
	end := second.Secrets[0].ExpiresAt
	var who api.Whoami
	f.Send("GET", "/v1/whoami", first, "").Read(t, &who)
	if s := who.Secret; s.Number != 1 || s.EndsAt == nil || !s.EndsAt.Equal(*end) || !s.Superseded || who.ExpiresAt.Equal(*end) {
		t.Errorf("whoami with the old secret: got %+v, want its end %v", who, end)
	}
	who = api.Whoami{}
	f.Send("GET", "/v1/whoami", second.Secret, "").Read(t, &who)
	if s := who.Secret; s.Number != 2 || s.EndsAt == nil || !s.EndsAt.Equal(*who.ExpiresAt) || s.Superseded {
		t.Errorf("whoami with the new secret: got %+v", who)
	}
	var v api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+first+`"}`).Read(t, &v)
	if s := v.Secret; !v.Valid || s == nil || s.Number != 1 || !s.Superseded || !s.EndsAt.Equal(*end) {
		t.Errorf("verify of the old secret: got %+v", v)
	}
	f.Send("POST", "/v1/keys/"+id+"/rotate", adminKey, `{"finish":1}`)
	v = api.Verification{}
	a := f.Send("POST", "/v1/verify", adminKey, `{"key":"`+first+`"}`)
	if a.Read(t, &v); v.Valid || v.Code != "superseded" || v.KeyID != id || v.Secret == nil || v.Secret.Number != 1 || !v.Secret.Superseded || v.Secret.EndsAt == nil || v.Key != nil {
		t.Errorf("verify of the ended secret: got %s", a.Body)
	}
	// The client itself gets the common sentence.
	known, unknown := f.Send("GET", "/v1/whoami", first, ""), f.Send("GET", "/v1/whoami", keys.NewToken(keys.KindKey).Secret().Reveal(), "")
	if p, q := known.Problem(t), unknown.Problem(t); known.Status != 401 || p.Code != q.Code || p.Detail != q.Detail {
		t.Errorf("a client with an ended secret: got %d %s, want what any unknown key gets: %s", known.Status, known.Body, unknown.Body)
	}
	if log := f.Log(); !strings.Contains(log, `"code":"superseded"`) {
		t.Errorf("the log does not say superseded:\n%s", log)
	}
}

// sansEffect is an answer without the time from which the change is in effect: a repetition waits
// again.
func sansEffect(body string) string { return effectAt.ReplaceAllString(body, "") }

var effectAt = regexp.MustCompile(`"effective_everywhere_at":"[^"]*",?`)
