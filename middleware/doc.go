// Package middleware guards HTTP handlers with mcpkeys: it finds the key in a
// request, has it checked, and either passes the request on or answers it.
//
// Start at [New], then wrap a handler with [Guard.Require]:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
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
// # Guards within guards
//
// A guard may stand around a whole server and again, with scopes, at a route: it looks at
// the key once, and the request without a key that it let pass is still that caller's. A
// credential that is there again, as in a request which a server makes within another
// one's context, is looked at anew and decides alone. Another guard asks for its own key.
//
// # What a refused caller hears
//
// An RFC 9457 problem with a code, a request id and, where RFC 6750 has one, a
// challenge. Every reason why a key is not good here (unknown, revoked, expired,
// made for another server, ...) is one and the same 401. The true reason goes to
// [Options.Logger] with the same request id. A code without an answer in the table
// is 503.
//
// # Where a call comes from
//
// From the address of the connection. Where that is one of [Options.TrustedProxies],
// X-Forwarded-For is read from right to left, all its lines as one list: the first
// entry that is no trusted proxy is the caller, or the leftmost when all are. An entry
// that is no address, a proxy that sends no such header, and more than 32 entries leave
// the caller unknown: no range of a key holds that address. IPv4 written as IPv6 is IPv4,
// and zones and ports are dropped. Forwarded, X-Real-IP and their like are never read;
// where a proxy sends nothing else, have it send X-Forwarded-For.
//
// # Rate limits
//
// A request is a call here: it counts against its key's limit once, whatever it then asks
// for, and [Options.Cost] says how much. Behind mcpauth the calls within a request count,
// one by one, and the request counts against a second limit, ten times as wide and at
// least 60 a minute: [Guard.AdmitMessages]. Limits are counted per verifier, so n
// processes allow n times the rate. The answer to a call that was counted tells the policy
// and what is left of it in RateLimit-Policy and RateLimit, by draft 10 of the IETF's
// "RateLimit header fields for HTTP"; a call that does not fit is a 429 with Retry-After.
// A 429 without these fields is no limit of a key: it came from an address that has
// sent too many unknown keys.
//
// # What is refused
//
// A refusal is logged with its true reason, whether the key was proved, where the call
// came from, and what it lacked: the scopes that it took and those that are missing, the
// server that was called and those that the key is for. What is left of the body of a
// refused request must arrive within a second, or its connection is closed: [HurryBody].
//
// # What stays open
//
// A request is judged when it comes. A handler that answers for long, as a stream or a
// websocket does, takes its context from [Guard.Hold], which ends with the key.
// [Guard.Require] does not hold by itself, for most handlers are done sooner than a
// hold would look.
//
// # What this package refuses to do
//
// It believes no forwarding header of anybody but the proxies that it is told of. It
// opens no store, speaks no OAuth, and offers no way to let a request through without a
// key.
package middleware
