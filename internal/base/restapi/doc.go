// Package restapi is what the HTTP APIs of mcpkeys share: one gin engine, one OpenAPI
// document, one way to refuse.
//
// Make an [API] with [New], add operations with [Register], and serve
// [API.Handler]. An operation says in its Security which keys may call it
// ([AdminKey], [AnyKey]); the document shows that, and the very same words put the
// guard before it. An operation that says nothing is public, and Register refuses
// one that is not on the list of public paths.
//
// # What a request goes through
//
//	request id, log, headers that forbid caching  every request
//	the guard                                     401, 403, 429, 503
//	query                                         422: unknown, twice, not parsable
//	content type, size, JSON                      415, 413, 408, 422
//	types                                         422
//	the operation
//
// A body is read only after the guard let the request in. JSON is read strictly: a
// member that comes twice, that is unknown or differs in case, NUL, text that is no
// UTF-8, and anything after the object are refused, because two readers of such a
// body may disagree about what it says.
//
// # What a refusal says
//
// One form, [api.Problem], also for paths and methods that do not exist. It names
// the field and the rule, in words from a closed list, and never repeats any part of
// the request: people put secrets into wrong fields. The log has the route, never
// the path or the query.
package restapi
