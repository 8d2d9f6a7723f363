// Package mcpauth is the guard of package middleware for servers made with the official MCP
// go-sdk: it authenticates every HTTP request, binds sessions to the key that opened them,
// and limits each key to the tools, prompts and resources that it was granted.
//
// Call [Handler] with a guard and a server that has its features and its own middleware
// already, and mount the result:
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	http.Handle("/mcp", mcpauth.Handler(guard, server, nil))
//	http.Handle("/", mcpauth.NotFound(guard))
//
// Tools call [keys.IdentityFrom] with their context to learn who is calling: the caller of the
// current message. Do not use auth.TokenInfoFromContext, which names the opener of the session.
// docs/mcp.md explains this page with examples.
//
// # Scopes
//
// Calling a tool needs [mcpscope.Tool] of its name, getting a prompt [mcpscope.Prompt],
// reading or subscribing to a resource [mcpscope.Resource] of its URI. Lists show only what is
// granted. A name that was not granted is answered like one that does not exist. Methods that
// name nothing are open to every valid key; every other method, also one that the server added,
// is refused as unknown. Instructions and capabilities are shown to every key.
//
// # Limits
//
// A tools/call, prompts/get or resources/read message is a call, granted or not: over the key's
// rate limit it is answered with [CodeRateLimited]. Each HTTP request counts against a second
// limit, ten times as wide and at least 60 a minute: over that the answer is HTTP 429, before
// its body is read. An array of more than 16 messages is refused before it is parsed. A key has
// at most 64 sessions, and 64 subscriptions without a session.
//
// # Protocol versions and sessions
//
// One path serves 2025-11-25 and before, with sessions, and 2026-07-28, without. One place
// decides for both, on the SDK's own parse of a message, never on a header. A session that is
// used with another key is answered 403; a rotated key keeps its sessions.
//
// # What ends with a key
//
// When a key is revoked or disabled, expires, or can no longer be checked, a running call gets
// one JSON-RPC error that says what happened and what to do (codes -31401, -31403, -31503), its
// context is cancelled with a [middleware.EndedError] as the cause, streams end and sessions
// are closed. Nothing that a tool writes after the revoke has returned is sent. A narrowed key
// loses the calls that needed the removed scope. After an edit of its scopes, clients are sent
// list_changed.
//
// # What this package refuses to do
//
// It does not do OAuth: no resource_metadata, 404 on /.well-known/, and on /register an error
// that says so. It serves no other transport: a guarded server on stdio refuses everything,
// because no caller is authenticated there.
package mcpauth
