// Package local is a [verifier.Source] that reads a key store and its peppers in the process
// that checks keys: for a server that opens the store itself, and for keyctl serve.
//
//	v, err := verifier.New(local.New(st, nil), nil)
//
// It is the only code of a guard that uses a pepper. It proves mcpkeys tokens by their digests
// (own.go) and imported ones by the hash of the other system (imported.go), and renews digests
// that were made with an old pepper (rehash.go).
//
// It does not remember keys, which is the verifier's task. It refuses a row whose seal is
// broken: no field of it can be trusted, not even that the key is revoked.
package local
