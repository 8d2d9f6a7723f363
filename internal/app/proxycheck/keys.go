package proxycheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/keys"
)

// validKey plays a valid key: it must pass, and the server must not see more than it should.
func (e *examination) validKey(ctx context.Context) {
	if e.Keys.Valid.IsZero() {
		return
	}
	valid := e.Keys.Valid.Reveal()
	r := e.ask(ctx, call{method: http.MethodPost, key: valid, body: ping, forge: true})
	if e.passes = e.allowed("valid-key", "a valid key", r); !e.passes {
		return
	}
	e.allowed("head-valid", "HEAD with a valid key", e.ask(ctx, call{method: http.MethodHead, key: valid}))
	second := e.ask(ctx, call{method: http.MethodPost, second: valid, body: ping, forgeLower: true})
	if second.err == nil && second.status == http.StatusUnauthorized {
		e.warn("x-api-key", "let the proxy send X-API-Key to /v1/forward-auth: allowed_headers in Envoy, request_headers in APISIX",
			"a valid key in X-API-Key is refused")
	} else {
		e.allowed("x-api-key", "a valid key in X-API-Key", second)
	}
	if e.Behind == nil {
		return
	}
	if e.identity(r.arrived, second.arrived) {
		e.noOwner(ctx)
	}
	e.secret("Authorization", r.arrived)
	e.secret("X-API-Key", second.arrived)
	if r.arrived.body != ping {
		e.bad("body", fixBody, "the body of a POST does not reach the server")
	} else {
		e.ok("body", "the body of a POST reaches the server")
	}
	e.stream(ctx)
}

// allowed reports whether the request passed.
func (e *examination) allowed(check, what string, r reply) bool {
	switch {
	case r.err != nil:
		e.bad(check, fixReach, "%s gets no answer: %v", what, bare(r.err))
	case !r.passed(e.Behind != nil, 0):
		e.wrongStatus(check, what, r.status, http.StatusOK)
	default:
		e.ok(check, "%s passes", what)
		return true
	}
	return false
}

// believed is an identity header that the client sent and that reached the server, or "".
func believed(got *arrival) (name string) {
	if got == nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(got.header)) {
		if idheader.Is(name) && strings.Contains(strings.Join(got.header[name], " "), forged) {
			return name
		}
	}
	return ""
}

// identity checks the identity headers of two requests with a valid key, in which the client
// forged them. It reports whether they are overwritten.
func (e *examination) identity(got, lower *arrival) bool {
	id := got.header.Get(headerKeyID)
	t, err := keys.ParseToken(e.Keys.Valid.Reveal())
	switch name := cmp.Or(believed(got), believed(lower)); {
	case strings.Contains(name, "_"):
		e.bad("identity", fixLookalike, "headers with underscores, such as %s, reach the server, and it may take them for those with hyphens", name)
		return false
	case name != "":
		e.bad("identity", fmt.Sprintf(fixIdentity, name), "the server believes the %s that a client sends", name)
		return false
	case id == "":
		e.warn("identity", fmt.Sprintf(fixIdentity, headerKeyID), "the server does not learn which key calls; spoofed headers are removed")
	case err == nil && id != t.ID():
		e.bad("identity", fmt.Sprintf(fixIdentity, headerKeyID), "%s is not the id of the key", headerKeyID)
	default:
		e.ok("identity", "spoofed X-Mcpkeys-* headers are overwritten")
	}
	return true
}

// noOwner plays a key whose identity has an empty value: some proxies then keep what the client
// sent.
func (e *examination) noOwner(ctx context.Context) {
	if e.Keys.Bare.IsZero() {
		return
	}
	const check = "no-owner"
	r := e.ask(ctx, call{key: e.Keys.Bare.Reveal(), forge: true})
	if !r.passed(true, 0) {
		e.allowed(check, "a key without an owner", r)
		return
	}
	if name := believed(r.arrived); name != "" {
		e.bad(check, fmt.Sprintf(fixEmpty, name), "for a key without an owner, the server believes the %s that a client sends", name)
		return
	}
	e.ok(check, "spoofed headers are removed for a key without an owner too")
}

// secret checks that the key, sent in the header name, did not reach the server.
func (e *examination) secret(name string, got *arrival) {
	if got == nil {
		return
	}
	for _, values := range got.header {
		if strings.Contains(strings.Join(values, " "), e.Keys.Valid.Reveal()) {
			e.bad("secret", fmt.Sprintf(fixKey, name), "the server sees the client's key in %s", name)
			return
		}
	}
	e.ok("secret", "the server does not see a key in %s", name)
}

func (e *examination) limit(ctx context.Context) {
	if e.Keys.Limited.IsZero() {
		return
	}
	key := e.Keys.Limited.Reveal()
	if r := e.ask(ctx, call{key: key}); !r.passed(e.Behind != nil, 0) {
		return // valid-key says why
	}
	r := e.ask(ctx, call{key: key})
	if r.err == nil && r.status == http.StatusTooManyRequests && r.arrived == nil && r.header.Get("Retry-After") == "" {
		e.bad("limit", fixWait, "a key over its rate limit gets 429 without Retry-After")
		return
	}
	e.refused("limit", "a key over its rate limit", r, http.StatusTooManyRequests, fixCache)
}

// address plays a key for clients at other addresses, without and with such an address in
// X-Forwarded-For.
func (e *examination) address(ctx context.Context) {
	if e.Keys.Bound.IsZero() || e.open || !e.passes {
		return
	}
	const what = "a key for clients at other addresses"
	key := e.Keys.Bound.Reveal()
	r := e.ask(ctx, call{key: key, far: true})
	if op := (*net.OpError)(nil); errors.As(r.err, &op) && op.Op == "dial" {
		e.warn(CheckAddress, "run doctor on another machine", "%s was not tried: the proxy is on this machine, and cannot be called from %s", what, farAddress.IP)
		return
	}
	if r.passed(e.Behind != nil, http.StatusForbidden) {
		e.bad(CheckAddress, fixProxy, "keyctl serve takes the address of the proxy for that of every client: %s reaches the server", what)
		return
	}
	if r = e.ask(ctx, call{key: key, far: true, header: map[string]string{"X-Forwarded-For": claimedAddress}}); r.passed(e.Behind != nil, http.StatusForbidden) {
		e.bad(CheckAddress, fixClaimed, "keyctl serve believes the address that a client puts into X-Forwarded-For: %s reaches the server", what)
		return
	}
	e.refused(CheckAddress, what, r, http.StatusForbidden, "")
}

func (e *examination) revoked(ctx context.Context) error {
	if e.Keys.Valid.IsZero() || e.Revoke == nil {
		return nil
	}
	if err := e.Revoke(ctx); err != nil {
		return err
	}
	e.refused("revoked", "a key that was just revoked", e.ask(ctx, call{key: e.Keys.Valid.Reveal()}), http.StatusUnauthorized, fixCache)
	return nil
}
