package middleware

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/keys"
)

// headerCode has the code of a denial, for proxies that drop the body.
const headerCode = "X-Mcpkeys-Code"

// proxied is how a guard answers a proxy that asks for its client.
type proxied struct {
	only403 bool
}

// ForProxy returns a guard like g for a proxy in front of the server audience, which asks with
// the headers of its client and passes the request on only if the answer is 200. Denials have
// the header X-Mcpkeys-Code, with the code of the body. If only403 is true, a denial with 400 or
// 429 has the status 403: nginx knows only 401 and 403 as denials, and makes 500 of others. An
// outage stays 503.
//
// The new guard shares g's limit on log lines, and accepts no other audience, also if g accepts
// any. The error is a [*keys.InvalidError].
func (g *Guard) ForProxy(audience string, only403 bool) (*Guard, error) {
	if err := keys.ValidateAudience(audience); err != nil {
		return nil, err
	}
	if g == nil {
		g = &Guard{} // answers 503
	}
	out := *g
	out.call.Audience, out.call.Any, out.proxied = audience, false, &proxied{only403}
	return &out, nil
}

// mark adapts the answer a to a proxy. A nil p changes nothing.
func (p *proxied) mark(h http.Header, a *answer) {
	if p == nil {
		return
	}
	h.Set(headerCode, a.code)
	if p.only403 && (a.status == http.StatusBadRequest || a.status == http.StatusTooManyRequests) {
		a.status = http.StatusForbidden
	}
}
