package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// verdict has a token checked through the API.
func verdict(t *testing.T, f *servertest.Fixture, admin, token string) string {
	t.Helper()
	var v api.Verification
	f.Send("POST", "/v1/verify", admin, `{"key":"`+token+`"}`).Read(t, &v)
	return v.Code
}

// A key's life over HTTP: rotated with an overlap, finished, stopped, started, edited.
func TestLife(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	first, id := f.Issue(keys.IssueRequest{Name: "ci", Owner: "ops"})
	at := "/v1/keys/" + id

	var second api.Issued
	a := f.Send("POST", at+"/rotate", admin, `{"grace":"1h"}`)
	if a.Read(t, &second); a.Status != 200 || !strings.HasPrefix(second.Secret, "mcpk_"+id+"_") || len(second.Secrets) != 2 || second.Secrets[0].ExpiresAt == nil || second.Owner != "ops" {
		t.Fatalf("rotate: got %d %+v", a.Status, second.Key)
	}
	if got := a.Header.Get("ETag"); got != `"2"` {
		t.Errorf("rotate: got ETag %s, want \"2\"", got)
	}
	if old, fresh := verdict(t, f, admin, first), verdict(t, f, admin, second.Secret); old != "valid" || fresh != "valid" {
		t.Errorf("in the grace: got %s and %s, want both valid", old, fresh)
	}
	use := keys.Use{KeyID: id, Last: []keys.LastUse{{Secret: 2, At: second.CreatedAt}}}
	if err := f.Store.AddUse(t.Context(), []keys.Use{use}); err != nil { // the server would write it down some seconds later
		t.Fatal(err)
	}
	a = f.Send("POST", at+"/rotate", admin, "")
	if p := a.Problem(t); a.Status != 409 || p.Code != "conflict" || !strings.Contains(p.Detail, "finish") {
		t.Errorf("rotate again: got %d %+v, want 409 and the way out", a.Status, p)
	}
	a = f.Send("POST", at+"/rotate", admin, `{"finish":true}`)
	if a.Status != 200 || strings.Contains(a.Body, `"secret"`) {
		t.Errorf("finish: got %d %s, want no secret", a.Status, a.Body)
	}
	if old, fresh := verdict(t, f, admin, first), verdict(t, f, admin, second.Secret); old != "not_found" || fresh != "valid" {
		t.Errorf("after finish: got %s and %s, want the new one alone", old, fresh)
	}

	var k api.Key
	if a := f.Send("POST", at+"/disable", admin, `{"reason":"odd"}`); a.Status != 200 || verdict(t, f, admin, second.Secret) != "disabled" {
		t.Errorf("disable: got %d %s", a.Status, a.Body)
	}
	if a := f.Send("POST", at+"/rotate", admin, ""); a.Status != 409 {
		t.Errorf("rotate of a disabled key: got %d %s, want 409", a.Status, a.Body)
	}
	if a := f.Send("POST", at+"/enable", admin, ""); a.Status != 200 || verdict(t, f, admin, second.Secret) != "valid" {
		t.Errorf("enable: got %d %s", a.Status, a.Body)
	}
	a = f.Send("PATCH", at, admin, `{"name":"web","scopes":["tools:a"],"audience":["mail"],"allowed_ips":["10.0.0.7"],"rate_limit":"60/m","metadata":{"env":"prod"},"expires_in":"never"}`)
	if a.Read(t, &k); a.Status != 200 || k.Name != "web" || k.Owner != "ops" || k.ExpiresAt != nil || k.RateLimit != "60/m" || k.AllowedIPs[0] != "10.0.0.7/32" || k.Metadata["env"] != "prod" {
		t.Errorf("edit: got %d %+v", a.Status, k)
	}
	a = f.Send("PATCH", at, admin, `{"owner":"","rate_limit":"","metadata":{},"audience":[],"allowed_ips":[],"expires_at":"2090-01-31T00:00:00Z"}`)
	k = api.Key{} // a map that is read into keeps what it had
	if a.Read(t, &k); a.Status != 200 || k.Name != "web" || k.Owner != "" || k.RateLimit != "" || len(k.Metadata)+len(k.Audience)+len(k.AllowedIPs) != 0 || k.ExpiresAt.Year() != 2090 {
		t.Errorf("edit to nothing: got %d %+v", a.Status, k)
	}
}

// What an edit cannot mean is refused. A null is no way to say "none": whoever means
// "never" by it must not be left with what was there.
func TestEditRefuses(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	_, id := f.Issue(keys.IssueRequest{Name: "ci"})
	for body, field := range map[string]string{
		`{}`:                                        "body",
		`{"name":null}`:                             "body",
		`{"owner":"x","expires_at":null}`:           "body",
		`{"scopes":null}`:                           "body",
		`{"metadata":null}`:                         "body",
		`{"rate_limit":null}`:                       "body",
		`{"expires_at":null}`:                       "body",
		`{"expires_in":""}`:                         "expires_in",
		`{"expires_at":""}`:                         "expires_at",
		`{"expires_in":"0d"}`:                       "expires_in",
		`{"expires_in":"1d","expires_at":"never"}`:  "expires_at",
		`{"name":""}`:                               "name",
		`{"scopes":["a b"]}`:                        "scopes",
		`{"rate_limit":"often"}`:                    "rate_limit",
		`{"allowed_ips":["here"]}`:                  "allowed_ips",
		`{"kind":"admin"}`:                          "body",
		`{"id":"abcdefghijkl","name":"x"}`:          "body",
		`{"revoked_at":null}`:                       "body",
		`{"metadata":{"a":1}}`:                      "metadata",
		`{"expires_at":"2020-01-01T00:00:00Z"}`:     "expires_at",
		`{"audience":["https://mcp.example /mcp"]}`: "audience",
	} {
		before := f.State()
		a := f.Send("PATCH", "/v1/keys/"+id, admin, body)
		if p := a.Problem(t); a.Status != 422 || len(p.Errors) == 0 || p.Errors[0].Field != field {
			t.Errorf("PATCH %s: got %d %+v, want 422 and the field %s", body, a.Status, p, field)
		}
		if after := f.State(); after != before {
			t.Errorf("PATCH %s: changed %+v to %+v", body, before, after)
		}
	}
}

// TestEditIfMatch: who edits what was changed since it was read is told so, and an
// If-Match that names no version of ours fits none.
func TestEditIfMatch(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	_, id := f.Issue(keys.IssueRequest{Name: "ci"})
	patch := func(owner string, match ...string) servertest.Answer {
		t.Helper()
		r := f.Request("PATCH", "/v1/keys/"+id, admin, `{"owner":"`+owner+`"}`)
		r.Header["If-Match"] = match
		return f.Do(r)
	}
	read := f.Send("GET", "/v1/keys/"+id, admin, "").Header.Get("ETag")
	if read != `"1"` {
		t.Errorf("GET: got ETag %s, want \"1\"", read)
	}
	if a := patch("a", read); a.Status != 200 || a.Header.Get("ETag") != `"2"` {
		t.Errorf("PATCH of what was read: got %d %s", a.Status, a.Body)
	}
	for _, match := range [][]string{{read}, {`"3"`}, {"2"}, {`W/"2"`}, {`"02"`}, {`"+2"`}, {`"2`}, {`"x"`}, {""}, {`"0"`}, {`"-1"`}, {`"2", "3"`}, {`"2"`, `"1"`}, {"*", "*"}, {`"99999999999999999999"`}} {
		a := patch("b", match...)
		if p := a.Problem(t); a.Status != http.StatusPreconditionFailed || p.Code != "precondition_failed" {
			t.Errorf("PATCH if %q: got %d %+v, want 412", match, a.Status, p)
		}
	}
	for i, match := range [][]string{{`"2"`}, {"*"}, nil} {
		if a := patch(fmt.Sprint("c", i), match...); a.Status != 200 {
			t.Errorf("PATCH if %q: got %d %s, want 200", match, a.Status, a.Body)
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

// TestRepeatedRequests: a client whose answer was lost asks again, and nothing happens
// twice. The secret was in the first answer, and is in no other.
func TestRepeatedRequests(t *testing.T) {
	f := servertest.New(t)
	admin, other := f.Admin(), f.Admin(keys.ScopeKeysWrite)
	var first, again api.Issued
	send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-1").Read(t, &first)
	before := f.State()
	a := send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-1")
	a.Read(t, &again)
	if a.Status != 201 || again.ID != first.ID || again.Secret != "" || strings.Contains(a.Body, first.Secret[18:]) || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("issue again: got %d %s, want the same key without its secret", a.Status, a.Body)
	}
	if after := f.State(); after != before {
		t.Errorf("issue again: changed %+v to %+v", before, after)
	}
	at := "/v1/keys/" + first.ID
	var rotated, replayed api.Issued
	send(f, "POST", at+"/rotate", admin, `{"grace":"0"}`, "deploy-1").Read(t, &rotated)
	send(f, "POST", at+"/rotate", admin, `{"grace":"0"}`, "deploy-1").Read(t, &replayed)
	if rotated.Secret == "" || replayed.Secret != "" || replayed.Version != rotated.Version {
		t.Errorf("rotate again: got version %d, want %d and no secret", replayed.Version, rotated.Version)
	}

	// What was done meanwhile is not undone by a late repetition.
	send(f, "POST", at+"/enable", admin, "", "start")
	send(f, "POST", at+"/disable", admin, "", "stop")
	var k api.Key
	if send(f, "POST", at+"/enable", admin, "", "start").Read(t, &k); k.Status != "disabled" {
		t.Errorf("enable again, after disable: got %s, want it still disabled", k.Status)
	}

	// Another caller's word, another key's, and another operation's are other requests.
	if a := send(f, "POST", "/v1/keys", other, `{"name":"cj"}`, "deploy-1"); a.Status != 201 || a.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the same word by another caller: got %d %s", a.Status, a.Body)
	}
	if a := send(f, "POST", "/v1/keys", admin, `{"name":"ck"}`, "deploy-1"); a.Status != 422 || a.Problem(t).Errors[0].Field != "Idempotency-Key" {
		t.Errorf("the same word for another body: got %d %s", a.Status, a.Body)
	}
	// One who may not read keys sees again what he was shown, and only he.
	if a := send(f, "POST", "/v1/keys", other, `{"name":"cj"}`, "deploy-1"); a.Status != 201 || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again without keys:read: got %d %s", a.Status, a.Body)
	}

	// What failed may be tried again.
	if a := send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-2"); a.Status != 409 {
		t.Errorf("a taken name: got %d %s", a.Status, a.Body)
	}
	f.Revoke(first.ID)
	if a := send(f, "POST", "/v1/keys", admin, `{"name":"ci"}`, "deploy-2"); a.Status != 201 {
		t.Errorf("again when the name is free: got %d %s", a.Status, a.Body)
	}
	for _, words := range [][]string{{""}, {"a", "a"}, {strings.Repeat("x", 129)}, {" \u202e"}} {
		a := send(f, "POST", "/v1/keys", admin, `{"name":"cl"}`, words...)
		if p := a.Problem(t); a.Status != 422 || p.Errors[0].Field != "Idempotency-Key" || keys.LooksLikeToken(a.Body) {
			t.Errorf("Idempotency-Key %d long: got %d %s, want 422", len(words[0]), a.Status, a.Body)
		}
	}
}

// TestConcurrentDuplicates: the same request many times at once makes one key; the
// others hear that it is under way, or that it was done.
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
		case a.Status == 409 && a.Problem(t).Code == "conflict" && strings.Contains(a.Body, "under way"):
		case a.Status == 201 && a.Header.Get("Idempotency-Replayed") == "true":
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
