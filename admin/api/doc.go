// Package api holds what goes over the wire of the HTTP API: the bodies of requests
// and answers, and nothing else. The server fills them, the Go client reads them,
// and a program of your own may do either.
//
// Start at [IssueRequest] and [Issued] for making a key, [VerifyRequest] and
// [Verification] for checking one, and [Problem] for everything that went wrong.
//
// Times are UTC, RFC 3339, with microseconds; a time that is not set is null. Lists
// are never null. Members are spelt exactly as they stand here: the server refuses
// unknown ones, and one that comes twice.
//
// The package decides nothing, imports nothing but the standard library, and has no
// type that hides a secret: [Issued] and [VerifyRequest] hold one in plain text, so
// never log them.
package api
