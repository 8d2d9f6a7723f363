// Package verifier decides whether a request's key is valid: the hot path of every guarded
// server.
//
// Call [New] with a [Source], which reads keys: for a key store in this process use local.New
// of package verifier/local. Then call [Verifier.Authenticate] once per request. It returns a
// [keys.Decision]; ask its Identity, as often as needed, what the caller may do. Programs that
// serve HTTP use package middleware, which calls this one. Call [Verifier.Close] before you
// close the store, or the counts of the last seconds are lost.
//
// # A check
//
//	token -> door     limits unknown tokens by address; remembers unknown tokens
//	      -> cache    the present key: compares the epoch, shares one read among callers
//	      -> prover   finds the key and secret of the token: behind Source
//	      -> decide   Key.Admit, rate limit
//	      -> ledger   usage counts and denials, written by one flusher
//	holds: subscribers to changes of keys, and open requests that end with a key
//
// The proof is in verifier/local, each of the others in a file of its own, and
// [Verifier.Authenticate] calls them from top to bottom. The order of a decision is fixed:
// format, known id, seal, digest, revoked, disabled, expired, kind, audience, client IP, rate
// limit. Malformed text never reaches the source. If the source cannot be read, or the seal of
// a row is broken, the decision is unavailable, never valid.
//
// # Why a revoked key does not pass
//
// A key is read once and remembered. Each check compares the source's epoch before it uses
// what is remembered. So after a revoke has returned, in whichever process on the machine, no
// check that starts later accepts the key. If the source cannot be read, remembered keys are
// used until the lease ([feed.Bounds]) of the last successful read ends, provided that no
// change was announced.
//
// verifier/internal/model explains this: it tries every order of events on a model of the
// protocol, and switches off each rule in turn to show why it is needed. Read it before you
// change cache.go, watch.go or verifier/internal/flight.
//
// The package does not cache what it could not prove fresh, does not log (it returns what a
// log needs), and knows nothing about HTTP, stores or peppers.
package verifier
