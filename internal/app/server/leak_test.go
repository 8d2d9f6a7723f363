package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A23. The mistake: a key is put into a wrong field, of a wrong type, into broken JSON, the
// query, the path or a header. A framework that quotes what it did not understand shows the key
// in answers and logs.
func TestSecretInAWrongPlaceIsNowhere(t *testing.T) {
	f := servertest.New(t)
	canary, id := f.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	admin := f.Admin()
	everywhere := append(bodies(canary), headers(canary)...)
	everywhere = append(everywhere, addresses(canary)...)
	for _, r := range routes {
		for _, p := range everywhere {
			name := strings.ReplaceAll(fmt.Sprintf("%s %s/%s", r.method, r.path, p.name), " ", "_")
			t.Run(name, func(t *testing.T) {
				req := f.Request(r.method, strings.ReplaceAll(r.path, "{id}", id), admin, "")
				if r.body != "" {
					req = f.Request(r.method, strings.ReplaceAll(r.path, "{id}", "nobodyhasit1"), admin, fill(r.body, "x"))
				}
				before := f.State()
				p.put(req)
				a := f.Do(req)
				if piece := pieceOf(canary, fmt.Sprint(a.Header)+a.Body); piece != "" {
					t.Errorf("the answer %d holds %q of the secret", a.Status, piece)
				}
				if a.Status >= 500 {
					t.Errorf("got %d %s", a.Status, a.Body)
				}
				if after := f.State(); after.Keys > before.Keys+1 {
					t.Errorf("from %+v to %+v", before, after)
				}
			})
		}
	}
	if piece := pieceOf(canary, f.Log()); piece != "" {
		t.Errorf("the log holds %q of the secret", piece)
	}
	if piece := pieceOf(admin, f.Log()); piece != "" {
		t.Errorf("the log holds %q of the admin key", piece)
	}
}

// A23. The mistake: the key was cut, without its prefix or id, before it was put into the wrong
// place, so that it does not look like a key. It must not be echoed, logged, or kept in the
// audit log, which is permanent.
func TestBareSecretInAWrongPlaceIsNowhere(t *testing.T) {
	f := servertest.New(t)
	canary, _ := f.Issue(admin.IssueRequest{})
	adminKey := f.Admin()
	token := canary[len("mcpk_"):]
	for n, cut := range []string{token, token[keys.IDLen+1:], token[keys.IDLen+1:][:35], "x" + token[keys.IDLen+1:]} {
		for _, p := range places(n, cut) {
			_, id := f.Issue(admin.IssueRequest{})
			r := f.Request(p.method, strings.ReplaceAll(p.path, "{id}", id), adminKey, p.body)
			r.Header.Set("X-Request-Id", cut)
			a := f.Do(r)
			if piece := pieceOf(canary, fmt.Sprint(a.Header)+a.Body); piece != "" {
				t.Errorf("%s %s %s: the answer %d holds %q of the secret", p.method, p.path, p.body, a.Status, piece)
			}
			if a.Status != p.status {
				t.Errorf("%s %s %s: got %d %s, want %d", p.method, p.path, p.body, a.Status, a.Body, p.status)
			}
		}
	}
	if piece := pieceOf(canary, f.Log()); piece != "" {
		t.Errorf("the log holds %q of the secret", piece)
	}
	for _, suffix := range []string{"", "-wal"} {
		kept, err := os.ReadFile(f.Path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if piece := pieceOf(canary, string(kept)); piece != "" {
			t.Errorf("keys.db%s holds %q of the secret", suffix, piece)
		}
	}
}

// places are the ways to put the n-th cut where text is kept or searched for, and the expected
// results.
func places(n int, cut string) []sent {
	out := []sent{
		{"POST", "/v1/keys", fmt.Sprintf(`{"name":"only-its-request-id-%d"}`, n), 201},
		{"GET", "/v1/keys", "", 200},
		{"GET", "/v1/keys/" + cut, "", 404},
		{"GET", "/v1/" + cut, "", 404},
		{"POST", "/v1/keys/{id}/revoke", `{"reason":"` + cut + `"}`, 422},
	}
	for _, field := range []string{`"name":"%s"`, `"owner":"%s"`, `"metadata":{"%s":"x"}`, `"metadata":{"x":"%s"}`, `"audience":["%s"]`, `"scopes":["%s"]`} {
		body := fmt.Sprintf(field, cut)
		if !strings.Contains(body, `"name"`) {
			body += `,"name":"x"`
		}
		out = append(out, sent{"POST", "/v1/keys", "{" + body + "}", 422})
	}
	for _, filter := range []string{"name", "owner", "scope", "audience", "q"} {
		out = append(out, sent{"GET", "/v1/keys?" + filter + "=" + cut, "", 422})
	}
	return out
}

type sent struct {
	method, path, body string
	status             int
}

// pieceOf finds eight consecutive characters of the key's secret in text.
func pieceOf(key, text string) string {
	secret := key[strings.LastIndex(key, "_")+1:]
	for i := 0; i+8 <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+8]) {
			return secret[i : i+8]
		}
	}
	return ""
}

type place struct {
	name string
	put  func(*http.Request)
}

func bodies(canary string) (out []place) {
	fields := []string{
		"name", "owner", "kind", "scopes", "audience", "allowed_ips", "rate_limit", "metadata",
		"expires_in", "expires_at", "reason", "client_ip", "secret", "id",
	}
	forms := []string{`"%s"`, `["%s"]`, `{"%s":"x"}`, `{"x":"%s"}`, `[["%s"]]`, `{"%s":{"%[1]s":1}}`, `"x%sx"`}
	for _, field := range fields {
		for _, form := range forms {
			value := fmt.Sprintf(strings.ReplaceAll(form, "%s", "%[1]s"), canary)
			out = append(out, jsonBody(field+" "+form, `{"name":"x","key":"x","`+field+`":`+value+`}`), jsonBody(field+" alone "+form, `{"`+field+`":`+value+`}`))
		}
	}
	for _, text := range []string{
		`%s`, `"%s"`, `["%s"]`, `{"%s":1}`, `{"name":"x","%s":"%s"}`, `{"name":"%s`, `{"name":"%s"}}`, `{"name":%s}`,
		`{"name":"%s","name":"%s"}`, `{"name":"x"} %s`, `{"key":{"%s":1}}`, `{"key":"%s","%s":1}`, "{\"name\":\"%s\x00\"}",
		`{"key":"%s","key":"x"}`, `{"Key":"%s"}`, `{"key":["%s"]}`, `{"key":"%s","audience":"a b"}`,
	} {
		out = append(out, jsonBody(text, strings.ReplaceAll(text, "%s", canary)))
	}
	return out
}

func jsonBody(name, text string) place {
	return place{"body " + name, func(r *http.Request) {
		body(func(route) string { return text })(r, route{})
	}}
}

func headers(canary string) (out []place) {
	for _, name := range []string{
		"X-Request-Id", "Content-Type", "Accept", "Cookie", "User-Agent", "Referer", "Origin", "X-Api-Key",
		"Idempotency-Key", "If-Match", "X-Forwarded-For", "Content-Encoding", "Traceparent", "Sec-Fetch-Site",
	} {
		for _, value := range []string{canary, "application/" + canary, "a=" + canary} {
			out = append(out, place{"header " + name, func(r *http.Request) { r.Header.Set(name, value) }})
		}
	}
	return append(out,
		place{"header of its own", func(r *http.Request) { r.Header.Set("X-"+strings.ReplaceAll(canary, "_", "-"), "x") }},
		place{"Host", func(r *http.Request) { r.Host = canary }},
		place{"method", func(r *http.Request) { r.Method = canary }},
		place{"basic", func(r *http.Request) { r.SetBasicAuth("x", canary) }},
		place{"two bearers", func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+canary) }},
	)
}

func addresses(canary string) (out []place) {
	for _, name := range []string{
		"status", "unrevoked", "kind", "name", "owner", "id_prefix", "scope", "audience", "q",
		"expiring_within", "expires_by", "limit", "cursor", "api_key", canary,
	} {
		out = append(out, place{"query " + name[:min(8, len(name))], func(r *http.Request) {
			r.URL.RawQuery = url.Values{name: {canary}}.Encode()
		}})
	}
	secret := canary[strings.LastIndex(canary, "_")+1:]
	for _, path := range []string{
		"/v1/keys/%s", "/v1/keys/%s/revoke", "/%s", "/v1/%s/keys", "/v1/keys/%s%%2Fx", "/healthz/%s", "/v1/keys/%s/%[1]s",
	} {
		for _, what := range []string{canary, secret} {
			text := fmt.Sprintf(strings.ReplaceAll(path, "%s", "%[1]s"), what)
			out = append(out, place{"path " + path, func(r *http.Request) {
				r.URL.Opaque = "//" + r.URL.Host + text
			}}, place{"path without a key " + path, func(r *http.Request) {
				r.URL.Opaque = "//" + r.URL.Host + text
				r.Header.Del("Authorization")
			}})
		}
	}
	return out
}
