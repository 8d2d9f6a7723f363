// Package mcpauth is the guard of package middleware for servers made with the
// official MCP go-sdk: it authenticates every HTTP request, binds sessions to the
// key that opened them, and limits each key to the tools, prompts and resources
// that it was granted.
//
// Call [Handler] with a guard and a server that has its features and its own
// middleware already, and mount the result:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	http.Handle("/mcp", mcpauth.Handler(guard, server, nil))
//	http.Handle("/", mcpauth.NotFound(guard))
//
// Tools ask [keys.IdentityFrom] with their context who is calling.
//
// # Scopes
//
// Calling a tool needs [keys.ToolScope] of its name, getting a prompt
// [keys.PromptScope], and reading or subscribing to a resource
// [keys.ResourceScope] of its URI; a resource template is judged by its text as a
// URI. A list shows what the same question allows. What a key was not granted looks
// as if it did not exist: the same error as for a name that nobody ever used, and no
// trace in lists, page cursors and subscriptions. Lists, and resources that were
// read, go out as cacheScope private.
//
// Methods that name nothing (initialize, ping, server/discover, logging/setLevel,
// the notifications) are open to every good key. Every other method, also one that
// the server added itself, is refused as unknown: there is no scope to judge it by.
// A server's instructions and capabilities are shown to every good key, so they
// should not name what some may not know.
//
// # Rate limits and sessions
//
// A call is a tools/call, prompts/get or resources/read message, granted or not, however
// it is framed: each takes one of the key's rate limit, and over it is answered with a
// JSON-RPC error of the code [CodeRateLimited]. A handshake, a list and a stream take none.
// Each HTTP request takes one of a second limit, ten times as wide and at least 60 a minute,
// before its body is read: over that it is HTTP 429. A request that is a JSON array of more
// than 16 messages is refused before it is parsed.
//
// A key has at most 64 sessions open through one handler. One more ends the session that
// was idle longest, in which no POST runs and no stream is open; when none is idle,
// initialize is HTTP 429. In the era without sessions it has at most 64 streams of
// subscriptions/listen at a time; one more is HTTP 429.
//
// # Both protocol eras
//
// Handler serves 2025-11-25 and before, with sessions, and 2026-07-28, without, on
// one path. What a request says about itself only chooses which half of the SDK
// answers it; who is calling, and what that key may do, is decided in the same place
// for both, on the SDK's own parse of the message and never on a header.
//
// # Identity in a session
//
// In a session the context of a tool call carries the values of the request that
// opened the session. So this package takes the identity from the request at hand
// and puts it into the context anew, for each message: scopes that were narrowed
// since count at once. Use [keys.IdentityFrom], not auth.TokenInfoFromContext, which
// tells of the opener. A session used with another key is answered 403; a rotated
// key keeps its id, and so its sessions.
//
// # What ends with a key
//
// When a key is revoked or disabled, when it or its secret's grace expires, and when keys
// cannot be checked any more, whatever it holds open ends within some milliseconds. A
// call that runs gets one JSON-RPC error for its id, which says what happened and what to
// do, also where its answer has begun already; its context is cancelled (the cause is a
// [middleware.EndedError]). Then the stream ends. Nothing else that is written after the
// revoke has returned goes out, not even from a tool that heeds no context: its result is
// dropped. Where no call ran and nothing was answered yet, the answer is 401. The sessions
// of the key are closed; if it could not be checked for a while, within a second.
//
// The errors have the code -31000 less the HTTP status of the same refusal (-31401,
// -31403, -31503), and data with code, request_id and, if it is worth trying again,
// retry_after in seconds.
//
// When a key is narrowed, the calls end that took a scope which is gone, and lists that
// are being made. All else goes on with what is left: other calls, also those that came
// in the same batch, streams, and the session. They hear no more of resources that are
// not granted any more.
//
// When the scopes of a key are changed, its open sessions are told list_changed, for the
// lists that the change may touch and the server offers it for; in 2026-07-28,
// subscriptions that asked for it. Renaming a key ends nothing and is not told.
//
// A tool runs in a goroutine of its own, so that it can be left. Its panic goes on where
// the server's middleware can recover it, with the same value, and where it began is
// logged; a tool that was left and panics is logged and ends nothing.
//
// What a tool did before it was cancelled is done. An EventStore replays to the
// session's own key what was answered under its earlier scopes. Notifications that a
// server sends on its own (progress, log messages) are its own to word.
//
// # What this package refuses to do
//
// It speaks no OAuth: no resource_metadata, 404 on /.well-known/, and on /register an
// error that says so, because clients that find more there start a registration that
// cannot end. It serves no other transport: a guarded server on
// stdio denies everything, since nobody was authenticated there.
package mcpauth
