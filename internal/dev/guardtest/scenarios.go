package guardtest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// RequestID is the request id of every scenario, so that bodies are constant.
const RequestID = "scenario-1"

// Needed is the scope that the guarded handler needs.
const Needed = "tools:probe"

// the answers, to the byte
const (
	bodyNoCredential = `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Authentication is required: send an API key as Authorization: Bearer KEY, or as X-API-Key: KEY.","code":"no_credential","request_id":"scenario-1"}` + "\n"
	bodyTwo          = `{"type":"about:blank","title":"Bad Request","status":400,"detail":"Send exactly one API key, in exactly one header.","code":"two_credentials","request_id":"scenario-1"}` + "\n"
	bodyInvalid      = `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The API key is not valid for this server. Ask the person who issued it for a current one.","code":"invalid_token","request_id":"scenario-1"}` + "\n"
	bodyForbidden    = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"This call is not allowed.","code":"forbidden","request_id":"scenario-1"}` + "\n"
	bodyScope        = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"The API key was not granted all that this call needs: tools:probe.","code":"insufficient_scope","request_id":"scenario-1"}` + "\n"
	bodyLimited      = `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"Too many calls with this API key. Try again in 3600 seconds.","code":"rate_limited","request_id":"scenario-1"}` + "\n"
	bodyUnavailable  = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"API keys cannot be checked right now. Try again in 1 second.","code":"unavailable","request_id":"scenario-1"}` + "\n"

	challengeBare    = `Bearer realm="mcpkeys", error_description="Authentication is required: send an API key as Authorization: Bearer KEY, or as X-API-Key: KEY."`
	challengeRequest = `Bearer realm="mcpkeys", error="invalid_request", error_description="Send exactly one API key, in exactly one header."`
	challengeToken   = `Bearer realm="mcpkeys", error="invalid_token", error_description="The API key is not valid for this server. Ask the person who issued it for a current one."`
	challengeScope   = `Bearer realm="mcpkeys", error="insufficient_scope", scope="tools:probe", error_description="The API key was not granted all that this call needs: tools:probe."`
)

// scenario is one request and the answer it must get.
type scenario struct {
	name    string
	headers func(k *Keyring) []string // "Name: value" lines
	code    keys.Code                 // the true one, as it must be logged; empty when admitted
	status  int
	auth    string // WWW-Authenticate
	retry   string // Retry-After
	policy  string // RateLimit-Policy
	limit   string // RateLimit
	body    string
	unread  bool // no key may be looked up
	inBand  bool // an MCP server answers this within its protocol
}

// with makes headers of one key.
func with(token func(k *Keyring) string, formats ...string) func(*Keyring) []string {
	return func(k *Keyring) []string {
		t := token(k)
		lines := make([]string, len(formats))
		for i, f := range formats {
			lines[i] = strings.ReplaceAll(f, "KEY", t)
		}
		return lines
	}
}

func good(k *Keyring) string { return k.Granted(Needed) }

func issued(req admin.IssueRequest) func(*Keyring) string {
	return func(k *Keyring) string {
		req := req
		if req.Kind == "" && req.Scopes == nil {
			req.Scopes = []string{Needed}
		}
		token, _ := k.Issue(req)
		return token
	}
}

func fixed(lines ...string) func(*Keyring) []string { return func(*Keyring) []string { return lines } }

const bearer, apiKey = "Authorization: Bearer KEY", "X-Api-Key: KEY"

func scenarios() []scenario {
	all := []scenario{
		{name: "bearer", headers: with(good, bearer), status: 200},
		{name: "bearer in another case", headers: with(good, "Authorization: bEaReR KEY"), status: 200},
		{name: "x-api-key", headers: with(good, apiKey), status: 200},
		{name: "key for this server", headers: with(issued(admin.IssueRequest{Audience: []string{"other", Audience}}), bearer), status: 200},
		{name: "key for this address", headers: with(issued(admin.IssueRequest{AllowedIPs: loopback()}), bearer), status: 200},
		{name: "ip not allowed", headers: with(issued(admin.IssueRequest{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}), bearer), code: keys.CodeIPNotAllowed, status: 403, body: bodyForbidden},
		{name: "insufficient scope", headers: with(issued(admin.IssueRequest{Scopes: []string{"tools:other"}}), bearer), code: keys.CodeInsufficientScope, status: 403, auth: challengeScope, body: bodyScope, inBand: true},
		{name: "no scopes", headers: with(issued(admin.IssueRequest{Scopes: []string{}}), bearer), code: keys.CodeInsufficientScope, status: 403, auth: challengeScope, body: bodyScope, inBand: true},
		{name: "rate limited", headers: with(func(k *Keyring) string {
			token := issued(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1}})(k)
			k.Spend(token)
			return token
		}, bearer), code: keys.CodeRateLimited, status: 429, retry: "3600", policy: `"default";q=1;w=3600`, limit: `"default";r=0;t=3600`, body: bodyLimited, inBand: true},
		{name: "unavailable", headers: with(func(k *Keyring) string {
			token := good(k)
			k.Break()
			return token
		}, bearer), code: keys.CodeUnavailable, status: 503, retry: "1", body: bodyUnavailable},
	}
	return append(all, append(withoutKey(), deadKeys()...)...)
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// withoutKey: no credential, or too many.
func withoutKey() []scenario {
	var all []scenario
	none := func(name string, headers func(*Keyring) []string) {
		all = append(all, scenario{name: name, headers: headers, code: keys.CodeNoCredential, status: 401, auth: challengeBare, body: bodyNoCredential, unread: true})
	}
	none("no header", fixed())
	none("empty bearer", fixed("Authorization: Bearer "))
	none("empty x-api-key", fixed("X-Api-Key: "))
	none("another scheme", fixed("Authorization: Basic dXNlcjpwYXNz"))
	none("key in a cookie", with(good, "Cookie: key=KEY"))
	none("key in a header that was not opted in", with(good, "X-Auth-Token: KEY"))
	none("underscores for hyphens", with(good, "X_Api_Key: KEY"))
	none("proxy-authorization", with(good, "Proxy-Authorization: Bearer KEY"))

	two := func(name string, lines ...string) {
		all = append(all, scenario{name: name, headers: with(good, lines...), code: keys.CodeTwoCredentials, status: 400, auth: challengeRequest, body: bodyTwo, unread: true})
	}
	two("two authorization lines", bearer, bearer)
	two("two x-api-key lines", apiKey, apiKey)
	two("both headers with one key", bearer, apiKey)
	two("both headers, one of them empty", bearer, "X-Api-Key: ")
	two("another scheme beside x-api-key", "Authorization: Basic dXNlcjpwYXNz", apiKey)
	two("comma-joined bearer", "Authorization: Bearer KEY, Bearer KEY")
	two("comma-joined x-api-key", "X-Api-Key: KEY,KEY")
	return all
}

// deadKeys: seven reasons, one answer.
func deadKeys() []scenario {
	var all []scenario
	invalid := func(code keys.Code, name string, headers func(*Keyring) []string) {
		all = append(all, scenario{
			name: string(code) + ": " + name, headers: headers, code: code, status: 401,
			auth: challengeToken, body: bodyInvalid, unread: code == keys.CodeMalformed,
		})
	}
	invalid(keys.CodeMalformed, "two spaces", with(good, "Authorization: Bearer  KEY"))
	invalid(keys.CodeMalformed, "a tab", with(good, "Authorization: Bearer\tKEY"))
	invalid(keys.CodeMalformed, "no space", with(good, "Authorization: BearerKEY"))
	invalid(keys.CodeMalformed, "something behind", with(good, "Authorization: Bearer KEY x"))
	invalid(keys.CodeMalformed, "quotes", with(good, `Authorization: Bearer "KEY"`))
	invalid(keys.CodeMalformed, "scheme in x-api-key", with(good, "X-Api-Key: Bearer KEY"))
	invalid(keys.CodeMalformed, "not ASCII", with(good, "X-Api-Key: KEY\u00a0"))
	invalid(keys.CodeMalformed, "257 bytes", fixed("X-Api-Key: "+strings.Repeat("a", 257)))
	invalid(keys.CodeMalformed, "257 commas", fixed("X-Api-Key: "+strings.Repeat(",", 257)))
	invalid(keys.CodeMalformed, "60 kilobytes", fixed("Authorization: Bearer "+strings.Repeat("mcpk_", 12<<10)))
	invalid(keys.CodeMalformed, "typing error", with(func(k *Keyring) string { return swapCase(good(k), 30) }, bearer))
	invalid(keys.CodeNotFound, "unknown id", with(func(*Keyring) string { return keys.NewToken(keys.KindKey).Secret().Reveal() }, bearer))
	invalid(keys.CodeRevoked, "key", with(func(k *Keyring) string {
		token, id := k.Issue(admin.IssueRequest{Scopes: []string{Needed}})
		k.Revoke(id)
		return token
	}, bearer))
	invalid(keys.CodeDisabled, "key", with(func(k *Keyring) string {
		token, id := k.Issue(admin.IssueRequest{Scopes: []string{Needed}})
		k.Change(id, func(key *keys.Key) { key.DisabledAt = key.CreatedAt })
		return token
	}, bearer))
	invalid(keys.CodeExpired, "key", with(func(k *Keyring) string { return k.Expired(Needed) }, bearer))
	invalid(keys.CodeSuperseded, "secret that a rotation ended", with(func(k *Keyring) string {
		token, id := k.Issue(admin.IssueRequest{Scopes: []string{Needed}})
		k.Rotate(id, time.Hour)
		k.Change(id, func(key *keys.Key) { key.Secrets = key.Secrets[1:] })
		return token
	}, bearer))
	invalid(keys.CodeWrongKind, "admin key", with(issued(admin.IssueRequest{Kind: keys.KindAdmin}), bearer))
	invalid(keys.CodeWrongAudience, "key", with(issued(admin.IssueRequest{Audience: []string{"billing"}}), apiKey))
	return all
}

func swapCase(token string, i int) string {
	c := token[i] ^ 0x20
	if token[i] <= '9' {
		c = '0' + (token[i]-'0'+1)%10
	}
	return token[:i] + string(c) + token[i+1:]
}
