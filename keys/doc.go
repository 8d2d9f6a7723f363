// Package keys is the domain of mcpkeys: API keys for internal MCP servers, and what they
// may do. Package admin changes keys, keys/audit logs changes, and keys/pepper protects
// secrets. Stores and verifiers exchange what keys/feed and keys/usage define, keys/mcpscope
// makes scopes of names, and keys/requestid names a request in logs.
//
// A program that guards a server needs two functions: [IdentityFrom] tells a handler which
// key is calling, [Identity.Allows] whether it has another scope. [CompileScopes] has the rules
// of scopes, [Token] the form of a secret, [KeySecret] and [Seal] what is stored. A program
// that administers keys starts at admin.NewLocal. A program that stores keys implements
// store.Store and tests it with store/storetest.
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
