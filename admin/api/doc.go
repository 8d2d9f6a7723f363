// Package api has the bodies of requests and answers of the HTTP API, and nothing else. The
// server writes them, the Go client reads them, and your own programs may do both.
//
// Start at [IssueRequest] and [Issued] for issuing a key, [VerifyRequest] and [Verification]
// for verifying one, and [Problem] for errors.
//
// Times are UTC, RFC 3339, with microseconds; a time that is not set is null. Lists are never
// null. Member names must match exactly: the server refuses unknown and duplicate ones.
//
// The package makes no decisions, imports only the standard library, and has no type that hides
// a secret: [Issued] and [VerifyRequest] hold one in plain text, so never log them.
package api
