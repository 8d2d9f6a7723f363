// Package mcphttp is the guard of package middleware for MCP servers that are not made with the
// Go SDK, or are somewhere else: it guards any handler that serves MCP over streamable HTTP. The
// handler may be a reverse proxy, a backend that speaks stdio, or a server written by hand.
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }}
//	http.Handle("/mcp", mcphttp.Handler(guard, proxy, nil))
//	http.Handle("/", mcphttp.NotFound(guard))
//
// The handler is called next here, as in the parameter of [Handler]. docs/mcp.md explains this
// page with an example. For a server in this process that is made with the official Go SDK use
// mcpauth: it needs no second parse.
//
// # What is judged
//
// Each JSON-RPC message is parsed here, strictly, and judged: a call of a tool needs the scope
// mcpscope.Tool of its name, and so on, as in mcpauth. next gets the same bytes. A message that
// two parsers may read differently (a member twice, or in another case) is refused.
//
// Lists show only what is granted, in one page in the server's order. What the server sends before
// the list passes as events before it. A name that was not granted
// is answered like every unknown one that no wildcard grants: next is not asked. Unknown methods,
// and tasks, are refused unless [Options].Methods has them. Each message of a batch is judged
// and counted; next gets the granted ones, and the client one answer with all.
//
// # What is changed
//
// The four lists, cacheScope, the resources of subscriptions/listen, and notifications about
// resources that are not granted. All other bytes of messages pass as they are. An answer that
// is not one to the request is dropped. next gets no credential and no X-Mcpkeys- header of the
// client, and Accept-Encoding: identity; an encoded answer is refused. If next fails, or its
// answer cannot be read, the client gets a JSON-RPC error, with 502 if nothing was sent, and the
// log the reason.
//
// # Limits
//
// A request has 4 MiB, by default, and at most 16 messages. A list has 200 pages, 16 MiB and 30
// seconds, or ten minutes from when the server asks the client something before it answers. Other
// answers may have any length; up to 1 MiB of one is held.
//
// The client has its answer to a notification when next has written the status. The context of the
// request that next got ends then, so next must finish its work first, or continue it with a context of its own.
//
// # Sessions
//
// A session belongs to the key that opened it: another key gets 403, and a session that this
// handler did not bind 404, also after a restart. A key has at most 64 sessions. Calls, streams
// and sessions end with their key, as in mcpauth; next is told by the end of the request's
// context, notifications/cancelled and DELETE. After an edit of its scopes, clients are sent
// list_changed. If a stream is resumed, its answers are judged by what the key may do then.
// [Endpoint.End] ends all of them, for a server that is configured in another way.
//
// # What this package refuses to do
//
// It does not translate between protocol versions, and serves no other transport. It does not
// choose where next is, and does not authenticate to it.
package mcphttp
