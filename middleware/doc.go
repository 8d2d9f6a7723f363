// Package middleware guards HTTP handlers with mcpkeys: it finds the key in a
// request, has it checked, and either passes the request on or answers it.
//
// Start at [New], then wrap a handler with [Guard.Require]:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather"})
//	http.Handle("/reports/", guard.Require("reports:read")(handler))
//
// The handler asks [keys.IdentityFrom] who is calling. No option is needed to be
// secure. For gin there is ginauth, for the MCP go-sdk mcpauth; both are thin and
// decide nothing themselves: all three go through [Guard.Admit].
//
// # Where a key is read from
//
// From "Authorization: Bearer <key>" or "X-API-Key: <key>", or a header named in
// [Options]; from exactly one of them, exactly once. Two lines of one header, two
// headers, two keys joined by a comma: all refused, also when they are equal,
// because two readers of such a request may disagree about who is calling. An
// Authorization of another scheme is no key, and beside X-API-Key it is one
// credential too many.
//
// Never from the query, a cookie or the body: those end up in logs and histories,
// or are sent by browsers unasked.
//
// # What happens to it
//
// The headers above, Proxy-Authorization, and any other header whose value holds
// something of a key's shape are deleted from the request itself before anything
// else sees it, whatever the decision: no handler, no proxy behind it and no
// logger around it comes upon a key. A program that reads them must do so before
// the guard does.
//
// # What a refused caller hears
//
// An RFC 9457 problem with a code, a request id and, where RFC 6750 has one, a
// challenge. Every reason why a key is not good here (unknown, revoked, expired,
// made for another server, ...) is one and the same 401. The true reason goes to
// [Options.Logger] with the same request id. A code without an answer in the table
// is 503.
//
// # What this package refuses to do
//
// It trusts no forwarding header: the caller's address is that of the connection.
// It opens no store, speaks no OAuth, and offers no way to let a request through
// without a key.
package middleware
