// Package importing imports keys that another system issued: their secrets stay valid. [Import]
// takes rows, and package internal/app/keyfile reads them from files.
//
// All keys of an import become valid at once or not at all, with an audit row each. Package
// pepper decides which tokens and hashes are valid.
//
// The package refuses a token that another key has or had, a weak token that cannot be stored
// under a slow hash, and a token that was revoked.
package importing
