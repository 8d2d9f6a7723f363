// Package verifier decides whether a request's key is good: the hot path of every
// guarded server.
//
// Call [New] with a [Source], which is where keys are read: for a key store in this
// process that is local.New of package verifier/local. Then call [Verifier.Authenticate]
// once per request. What comes back is a [keys.Decision]; its Identity answers, as often
// as asked, what the caller may do. Programs that serve HTTP need not call this package
// themselves: middleware does. [Verifier.Close] it before the store, or what was counted
// in the last seconds is lost.
//
// # A check
//
//	token -> door     what an address may still ask for; tokens known to be unknown
//	      -> cache    the key as it stands now: watch of the epoch, one read for all
//	      -> prover   whose secret it is: behind Source
//	      -> decide   Key.Admit, rate limit
//	      -> ledger   uses and denials, one flusher
//	holds: who is called when a key changes, and what ends with it
//
// The proof stands in verifier/local, each of the others in a file of its own, and
// [Verifier.Authenticate] calls them from top to bottom. The order of a decision is fixed: format, known id, seal, digest, revoked,
// disabled, expired, kind, audience, client IP, rate limit. Malformed text never reaches
// the source. A source that cannot be asked, and a row whose seal is broken, end in
// unavailable and never in a pass.
//
// # Why a revoked key does not pass
//
// A key is read once and remembered. Nothing remembered is used before the source's epoch
// has been compared, so when a revoke has returned, in whichever process on the machine,
// no check that starts later passes. When the source cannot be read, what is remembered is
// good for its lease ([keys.Bounds]) since the last good look at it began, provided that
// no change was announced.
//
// The best explanation of this is verifier/internal/model: it tries every order of events
// on a model of the protocol, and switches off each of its rules in turn to show what the
// rule is for. Read it before you change cache.go, watch.go or verifier/internal/flight.
//
// The package refuses to cache what it could not prove fresh, to log (it returns what a
// log needs) and to know about HTTP, any particular store, or peppers.
package verifier
