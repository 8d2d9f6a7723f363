// Package importing brings in keys that another system issued: their tokens stay good as
// they are. [Import] takes rows, and package internal/app/keyfile reads them from files.
//
// All keys of an import become valid at once or not at all, with an audit row each. What a
// token or a hash must be like is decided by package pepper.
//
// The package refuses a token that any key has or had, a weak token that could not be kept
// under a slow hash, and to bring a revoked token back.
package importing
