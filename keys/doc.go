// Package keys is the domain of mcpkeys: API keys for internal MCP servers, and what they
// may do. Package admin changes keys, keys/audit logs changes, and keys/pepper protects
// secrets.
//
// A program that guards a server needs two functions: [IdentityFrom] tells a handler which
// key is calling, [Identity.Allows] whether it has another scope. A program that administers
// keys starts at admin.NewLocal. A program that stores keys implements store.Store and tests
// it with store/storetest.
//
// # Token format
//
// A key is shown once, as a token of 54 characters:
//
//	mcpk_<id:12>_<secret:30><check:6>
//
// Letters and digits only (base62), so that a double click selects all of it.
// Admin keys begin with mcpa_. The id is public: it appears in logs, lists and
// URLs. The secret has 178 random bits. The check is a CRC-32 that catches
// typing errors before the store is read; it proves nothing. [ParseToken] is
// strict: it does not trim, fold case or normalise Unicode.
//
// # What is stored
//
// No part of the secret. The store keeps HMAC-SHA-256 of the whole token under a
// key derived from a pepper (package keys/pepper) that lives outside the database. Guesses
// cannot be tried against a copy of the database, and a digest copied to another row never
// verifies, because the digest covers the id. Every row also carries a seal, a MAC over all
// of its fields: a key whose scope or expiry was edited in a database shell becomes unusable
// ([ErrTampered]), not stronger.
//
// # The decision
//
// A request is decided in two steps. Authentication runs once per request, in the
// order that [Key.Admit] documents, and returns a [Decision]. Authorization is
// [Identity.Allows], which is pure and cheap: call it as often as needed. Granted
// scopes may contain wildcards; scopes that a server requires are literal
// ([CompileScopes] has the rules).
//
// # Failure
//
// Unknown means denied. The zero and the nil [Identity] allow nothing, an
// unreadable store is [CodeUnavailable] and never accepts, and a change of a key
// is written together with its audit row or not at all. Errors name the field and
// the fix, and never repeat the value, which may be a secret in the wrong place.
//
// # What this package refuses to do
//
// It opens no files or connections, writes no logs, uses no pepper, and imports no database
// driver or web framework.
package keys
