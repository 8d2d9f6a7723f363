// Package keys is the domain of mcpkeys: API keys for internal MCP servers, what they are
// made of and what they may do. Who may change them is package admin, what is logged of it
// keys/audit, and what keeps their secrets keys/pepper.
//
// A program that guards a server needs little of it: [IdentityFrom] tells a
// handler who is calling, [Identity.Allows] whether that caller may do one more
// thing. A program that administers keys starts at admin.NewLocal. A program that
// stores keys implements store.Store and proves it with the suite in store/storetest.
//
// # Token format
//
// A key is shown once, as a token of 54 characters:
//
//	mcpk_<id:12>_<secret:30><check:6>
//
// Letters and digits only (base62), so that a double click selects all of it.
// Admin keys begin with mcpa_. The id is public: it stands in logs, lists and
// URLs. The secret holds 178 random bits. The check is a CRC-32 that catches
// typing errors before any store is asked; it proves nothing. [ParseToken] is the
// only way in: it trims nothing, folds no case and normalises no Unicode.
//
// # What is stored
//
// No part of the secret. The store keeps HMAC-SHA-256 of the whole token under a
// key derived from a pepper (package keys/pepper) that lives outside the database. A copy
// of the database confirms no guess, and a digest copied to another row never
// verifies, because the digest covers the id. Every row also carries a seal, a
// MAC over all of its fields: whoever edits a scope or an expiry with a database
// shell makes that key unusable ([ErrTampered]), not stronger.
//
// # The decision
//
// A request is decided in two steps. Authentication runs once per request, in the
// order that [Key.Admit] documents, and ends in a [Decision]. Authorization is
// [Identity.Allows], pure and cheap, as often as needed. Scopes that a key was
// granted may hold wildcards; scopes that a server requires are literal
// ([CompileScopes] has the rules).
//
// # Failure
//
// Unknown means denied. The zero [Identity] and the nil one allow nothing, a
// store that cannot be read is [CodeUnavailable] and never a pass, and every
// change of a key is written together with its audit row or not at all.
// Errors name the field and the fix and never repeat the offending value, which
// may be a secret that was pasted into the wrong place.
//
// # What this package refuses to do
//
// It opens no file and no connection, writes no log, touches no pepper, and imports neither
// a database driver nor a web framework.
package keys
