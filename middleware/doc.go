// Package middleware guards HTTP handlers with mcpkeys: it finds the key in a request, verifies
// it, and passes the request on or refuses it.
//
// Start at [New], then wrap a handler with [Guard.Require]:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	http.Handle("/reports/", guard.Require("reports:read")(handler))
//
// The handler calls [keys.IdentityFrom] to learn who is calling. The defaults are secure. For
// gin use ginauth, for the MCP go-sdk mcpauth. Both leave all decisions to [Guard.Admit].
// docs/mcp.md explains this page with examples.
//
// # Credentials
//
// A key comes from "Authorization: Bearer KEY", from "X-API-Key: KEY", or from a header named
// in [Options]: from exactly one of them. Two credentials are refused, also if they are equal,
// because two readers of such a request may disagree about who is calling. A key never comes
// from the query, a cookie or the body. Whatever the decision, these headers are deleted, and
// every header whose value looks like a key: later handlers, proxies and loggers see none.
//
// One guard may wrap a server, and again, with scopes, a route. It verifies the key once. If
// something between the two adds a credential to the request, that credential is checked
// instead. Another guard requires its own key.
//
// # Answers
//
// A refusal is an RFC 9457 problem with a code, a request id and, where RFC 6750 defines one, a
// challenge. Every reason why a key is not valid here (unknown, revoked, expired, made for
// another server) is the same 401; [Options].Logger gets the true reason, with the request id.
// A decision with an unknown code is answered with 503. The rest of the body must arrive within
// a second: see [HurryBody].
//
// # Addresses
//
// The client address is that of the connection. If that is one of [Options].TrustedProxies, it
// is the last entry of X-Forwarded-For that is not one of them. If an entry is not an address,
// the header is missing or has more than 32 entries, the address is unknown and no range of a
// key contains it. Forwarded, X-Real-IP and similar headers are never read.
//
// # Rate limits
//
// A request is one call: it counts once against the limit of its key, with the cost of
// [Options].Cost. Behind mcpauth each call within it counts, see [Guard.AdmitMessages]. Each
// verifier counts separately. Over the limit, the answer is 429 with Retry-After.
//
// # Long requests
//
// A request is judged when it arrives. A handler that answers for a long time should take its
// context from [Guard.Hold], which ends with the key; [Guard.Require] does not do so.
//
// # What this package refuses to do
//
// It trusts forwarding headers only from the given proxies. It opens no store, does not do
// OAuth, and has no way to let a request pass without a key.
package middleware
