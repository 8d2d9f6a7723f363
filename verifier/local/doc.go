// Package local is a [verifier.Source] over a key store and its peppers, in the process
// that checks keys: for a server that opens the store itself, and for keyctl serve.
//
//	v, err := verifier.New(local.New(st, nil), nil)
//
// It is the only code of a guard that touches a pepper. It proves tokens of ours by their
// digests (own.go) and imported ones by what another system kept of them (imported.go),
// and renews digests that were made with an old pepper (rehash.go).
//
// It refuses to remember keys, which is the verifier's task, and to act on a row whose seal
// is broken: nothing that such a row says can be relied on, not even that it is revoked.
package local
