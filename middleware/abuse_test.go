package middleware_test

import (
	"context"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// adapters guards one handler of each kind.
func adapters(guard *middleware.Guard) map[string]http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.POST("/", ginauth.Require(guard), func(*gin.Context) {})
	return map[string]http.Handler{
		"net/http": guard.Require()(ok),
		"gin":      engine,
		"mcp":      mcpauth.Handler(guard, mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil),
	}
}

// post makes a request that each of the adapters answers with 200 for a valid key.
func post(header, value string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if header != "" {
		r.Header.Set(header, value)
	}
	return r
}

// Attack A2: if two code paths read keys, one may lack a check. The same key in either header
// at any adapter gets the same decision, and each request counts once against one limit; at MCP
// only calls count, and this is not a call.
func TestA2SameKeyEveryWay(t *testing.T) {
	k := guardtest.NewKeyring(t)
	ways := adapters(k.Guard(nil))
	calls := 2 * (len(ways) - 1)
	limited, _ := k.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: calls, Window: 24 * time.Hour, Burst: calls}})
	revoked, id := k.Issue(admin.IssueRequest{})
	k.Revoke(id)
	elsewhere, _ := k.Issue(admin.IssueRequest{Audience: []string{"billing"}})

	for _, round := range []struct {
		what, token string
		want        int
	}{{"live", limited, 200}, {"spent", limited, 429}, {"revoked", revoked, 401}, {"elsewhere", elsewhere, 401}} {
		for name, h := range ways {
			for header, value := range map[string]string{"Authorization": "Bearer " + round.token, "X-API-Key": round.token} {
				want := round.want
				if name == "mcp" && round.what == "spent" {
					want = 200
				}
				if got := guardtest.StatusOf(h, post(header, value)); got != want {
					t.Errorf("%s key at %s by %s: got %d, want %d", round.what, name, header, got, want)
				}
			}
		}
	}
}

// Attack A5: caches and lookups by a part of the key accept a key that shares the part with
// another. A valid key is used first, so that every cache knows it.
func TestA5KeysThatAreNearlyEqual(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := k.Guard(nil).Require()(ok)
	known, other := k.Granted(), k.Granted()
	forged := keys.NewToken(keys.KindKey).Secret().Reveal()
	last := "0"
	if strings.HasSuffix(known, last) {
		last = "1"
	}
	for name, token := range map[string]string{
		"first 20 in common":          checked(known[:20] + forged[20:48]),
		"all but one of the secret":   checked(known[:47] + flip(known[47])),
		"last 16 before the check":    checked(forged[:32] + known[32:48]),
		"another key's id, my secret": checked(other[:18] + known[18:48]),
		"all but the last":            known[:53] + last,
		"one more":                    known + "0",
		"all but one in length":       known[:53],
		"another kind":                checked("mcpa_" + known[5:48]),
		"other case":                  strings.ToUpper(known),
	} {
		for range 2 {
			if got := guardtest.StatusOf(h, post("X-API-Key", known)); got != http.StatusOK {
				t.Fatalf("the good key: got %d, want 200", got)
			}
			if got := guardtest.StatusOf(h, post("X-API-Key", token)); got != http.StatusUnauthorized {
				t.Errorf("%s: got %d, want 401", name, got)
			}
		}
	}
}

// checked adds the right check digits to a token's body; anyone can compute them.
func checked(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, check := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := len(check) - 1; i >= 0; i-- {
		check[i] = digits[sum%62]
		sum /= 62
	}
	token := body + string(check)
	if _, err := keys.ParseToken(token); err != nil {
		panic("the test forges tokens that are not well-formed")
	}
	return token
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// Attack A7: a missing part. An empty key, an empty scheme, a guard without a verifier, a
// verifier without a store: none of them may give access.
func TestA7NothingOpensNothing(t *testing.T) {
	k := guardtest.NewKeyring(t)
	for name, h := range adapters(k.Guard(nil)) {
		for _, c := range [][2]string{{"", ""}, {"X-API-Key", ""}, {"Authorization", ""}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "}, {"Authorization", "Bearer null"}, {"X-API-Key", "undefined"}} {
			if got := guardtest.StatusOf(h, post(c[0], c[1])); got != http.StatusUnauthorized {
				t.Errorf("%s, %s: %q: got %d, want 401", name, c[0], c[1], got)
			}
		}
	}
	good := k.Granted("*")
	for name, h := range adapters(&middleware.Guard{}) {
		if got := guardtest.StatusOf(h, post("X-API-Key", good)); got != http.StatusServiceUnavailable {
			t.Errorf("zero guard at %s: got %d, want 503", name, got)
		}
	}
	var none *middleware.Guard
	if got := guardtest.StatusOf(none.Require()(ok), post("X-API-Key", good)); got != http.StatusServiceUnavailable {
		t.Errorf("nil guard: got %d, want 503", got)
	}
	for name, reader := range map[string]local.Store{"nil": nil, "typed nil": (*sqlite.Reader)(nil)} {
		if _, err := verifier.New(local.New(reader, nil), nil); err == nil {
			t.Errorf("verifier.New(%s): got no error, want one", name)
		}
	}
	mustPanic(t, "nil verifier", func() { middleware.New(nil, nil) })
}

// Attack A8: the key of the documentation, or one that a product ships with, is tried
// everywhere. Example keys are never valid, and a new store has no keys.
func TestA8NoDefaultKeyWorks(t *testing.T) {
	k := guardtest.NewKeyring(t)
	for name, h := range adapters(k.Guard(nil)) {
		for _, token := range []string{
			"mcpk_EXAMPLEkey00_thisIsTheDocumentedExampleKey0000000",
			"mcpk_EXAMPLE00000_000000000000000000000000000000000000",
			"mcpa_EXAMPLE00000_000000000000000000000000000000000000",
			checked("mcpk_000000000000_" + strings.Repeat("0", 30)),
			checked("mcpa_000000000000_" + strings.Repeat("0", 30)),
			"admin", "test", "changeme", "mcpk_", "mcpkeys",
		} {
			if got := guardtest.StatusOf(h, post("X-API-Key", token)); got != http.StatusUnauthorized {
				t.Errorf("%s with %s: got %d, want 401", name, token, got)
			}
		}
	}
}

// Attack A12: a caller claims, in headers that proxies use, another address, path, method or
// purpose. They are all ignored: the address is that of the connection.
func TestA12ForwardingHeadersAreNotBelieved(t *testing.T) {
	k := guardtest.NewKeyring(t)
	bound, _ := k.Issue(admin.IssueRequest{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	here, _ := k.Issue(admin.IssueRequest{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}) // httptest's
	claims := http.Header{
		"X-Forwarded-For": {"10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "Forwarded": {"for=10.0.0.1"}, "True-Client-Ip": {"10.0.0.1"},
		"Cf-Connecting-Ip": {"10.0.0.1"}, "X-Client-Ip": {"10.0.0.1"}, "X-Forwarded-Uri": {"/healthz"}, "X-Original-Url": {"/healthz"},
		"X-Http-Method-Override": {"OPTIONS"}, "X-Forwarded-Prefix": {"/.well-known"}, "User-Agent": {"kube-probe/1.30"},
	}
	for name, h := range adapters(k.Guard(nil)) {
		for token, want := range map[string]int{bound: 403, here: 200, "": 401} {
			r := post("X-API-Key", token)
			for header, values := range claims {
				r.Header[header] = values
			}
			if got := guardtest.StatusOf(h, r); got != want {
				t.Errorf("%s: got %d, want %d", name, got, want)
			}
		}
		for _, remote := range []string{"", "@", "not an address", "10.0.0.1", "[::ffff:10.0.0.1%eth0]:1x"} {
			r := post("X-API-Key", bound)
			r.RemoteAddr = remote
			if got := guardtest.StatusOf(h, r); got != http.StatusForbidden {
				t.Errorf("%s from %q: got %d, want 403", name, remote, got)
			}
		}
	}
}

// Attack A13: two keys in one request, one for the check and one for the action. Each header
// line counts; the scenarios have the variants, this is the raw form that no client library
// would send.
func TestA13FoldedAndRepeatedLines(t *testing.T) {
	k := guardtest.NewKeyring(t)
	reached := false
	srv := httptest.NewServer(mount(k.Guard(nil), func(context.Context, http.Header) { reached = true }))
	defer srv.Close()
	weak, strong := k.Granted(), k.Granted(guardtest.Needed)
	for name, lines := range map[string]string{
		"two lines":                 "Authorization: Bearer " + weak + "\r\nAuthorization: Bearer " + strong,
		"two lines, cases differ":   "authorization: Bearer " + weak + "\r\nAUTHORIZATION: Bearer " + strong,
		"folded line":               "Authorization: Bearer " + weak + ",\r\n Bearer " + strong,
		"folded value":              "Authorization: Bearer\r\n " + strong + "x",
		"both headers":              "X-API-Key: " + weak + "\r\nAuthorization: Bearer " + strong,
		"comma":                     "X-API-Key: " + weak + ", " + strong,
		"tab and more":              "Authorization: Bearer " + strong + "\t" + weak,
		"space before the colon":    "Authorization : Bearer " + strong,
		"empty line of another one": "X-API-Key:\r\nAuthorization: Bearer " + strong,
		"as a trailer":              "Trailer: Authorization\r\nTransfer-Encoding: chunked",
	} {
		status := guardtest.Raw(t, srv.Listener.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+lines+"\r\n\r\n0\r\nAuthorization: Bearer "+strong+"\r\n\r\n")
		if !strings.Contains(" 400 401 ", " "+status+" ") || reached {
			t.Errorf("%s: got %s, reached: %v; want 400 or 401", name, status, reached)
		}
	}
}
