// Package middleware guards HTTP handlers with mcpkeys: it finds the key in a request, has
// it checked, and passes the request on or answers it.
//
// Start at [New], then wrap a handler with [Guard.Require]:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	http.Handle("/reports/", guard.Require("reports:read")(handler))
//
// The handler asks [keys.IdentityFrom] who is calling. No option is needed to be secure.
// For gin there is ginauth, for the MCP go-sdk mcpauth. Both decide nothing themselves: all
// three go through [Guard.Admit]. docs/mcp.md explains what follows.
//
// # Credentials
//
// A key comes from "Authorization: Bearer KEY", from "X-API-Key: KEY", or from a header named
// in [Options]; from one of them, once. Two of anything are refused, also when they are
// equal: two readers of such a request may disagree about who is calling. Never from the
// query, a cookie or the body. Whatever the decision, these headers are deleted, and every
// header whose value has the shape of a key: no handler, proxy or logger behind sees one.
//
// A guard may stand around a server and again, with scopes, at a route. It looks at the key
// once. A request with a credential of its own is judged by that. Another guard asks for its
// own key.
//
// # Answers
//
// A refusal is an RFC 9457 problem with a code, a request id and, where RFC 6750 has one, a
// challenge. Every reason why a key is not good here (unknown, revoked, expired, made for
// another server) is the same 401; [Options].Logger gets the true one, with the request id.
// A decision without an answer in the table is 503. What is left of the body must arrive
// within a second: [HurryBody].
//
// # Addresses
//
// A call comes from the address of its connection; if that is one of [Options].TrustedProxies,
// from the last entry of X-Forwarded-For that is not one of them. An entry that is not an
// address, no such header, and more than 32 entries leave the address unknown, and no range
// of a key holds that. Forwarded, X-Real-IP and the like are never read.
//
// # Rate limits
//
// A request is a call: it counts once against the limit of its key, by [Options].Cost. Behind
// mcpauth each call within it counts, see [Guard.AdmitMessages]. Each verifier counts for
// itself. Over the limit is 429 with Retry-After.
//
// # What stays open
//
// A request is judged when it comes. A handler that answers for long takes its context from
// [Guard.Hold], which ends with the key; [Guard.Require] does not hold by itself.
//
// # What this package refuses to do
//
// It believes no forwarding header but those of the proxies that it is told of. It opens no
// store, speaks no OAuth, and has no way to let a request pass without a key.
package middleware
