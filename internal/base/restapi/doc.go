// Package restapi is the common part of the HTTP APIs of mcpkeys: the gin engine, the OpenAPI
// document, and the form of refusals.
//
// Make an [API] with [New], add operations with [Register], and serve [API.Handler]. The
// Security of an operation says which keys may call it ([AdminKey], [AnyKey]): the document
// shows it, and it puts the guard before the operation. An operation without Security is
// public, and Register refuses one that is not on the list of public paths.
//
// [API.Handle] adds a plain route for programs, behind the same guard, without a place in the
// document. Its handler uses [API.Read], [API.Answer] and [API.Fail].
//
// # The steps of a request
//
//	request id, log, headers that forbid caching  every request
//	the guard                                     401, 403, 429, 503
//	query                                         422: unknown, twice, not parsable
//	content type, size, JSON                      415, 413, 408, 422
//	types                                         422
//	the operation
//
// A body is read only after the guard let the request in, except a form without a key in a header,
// which may have the key: it must arrive within a second. JSON is read strictly: these are
// refused, because two readers could understand such a body differently: duplicate members,
// unknown members, names that differ in case, NUL, text that is not UTF-8, and anything after
// the object.
//
// # The form of a refusal
//
// Every refusal is an [api.Problem], also for paths and methods that do not exist. It names the
// field and the rule, in words from a closed list, and never repeats any part of the request,
// because people put secrets into wrong fields. The log has the route, never the path or the
// query.
package restapi
