// Package mcphttp is the guard of package middleware for MCP servers that are not made with the
// Go SDK, or are somewhere else: it guards any handler that serves MCP over streamable HTTP. The
// handler may be a reverse proxy, a backend that speaks stdio, or a server written by hand.
//
//	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
//	http.Handle("/mcp", mcphttp.Handler(guard, httputil.NewSingleHostReverseProxy(upstream), nil))
//	http.Handle("/", mcphttp.NotFound(guard))
//
// The handler is called next here, as in the parameter of [Handler]. docs/mcp.md explains this
// page with an example. For a server made with the official Go SDK use mcpauth: it needs no
// second parse.
//
// # What is judged
//
// Each JSON-RPC message is parsed here, strictly, and judged: a call of a tool needs the scope
// mcpscope.Tool of its name, and so on, as in mcpauth. next gets the same bytes. A message that
// two parsers may read differently (a member twice, or in another case) is refused.
//
// Lists show only what is granted, in one page. A name that was not granted is answered like one
// that is not there. Unknown methods, and tasks, are refused unless [Options].Methods has them.
//
// # What is changed
//
// The four lists, cacheScope, the resources of subscriptions/listen, and notifications about
// resources that are not granted. All other bytes pass as they are. next gets no credential and
// no X-Mcpkeys- header of the client, and Accept-Encoding: identity; an encoded answer is
// refused.
//
// # Sessions
//
// A session belongs to the key that opened it: another key gets 403, and a session that this
// handler did not bind 404, also after a restart. A key has at most 64 sessions. Sessions,
// streams and calls end with their key, as in mcpauth.
package mcphttp
