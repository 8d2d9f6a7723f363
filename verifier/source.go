package verifier

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// Source is where a verifier reads keys, such as a key store in this process
// (verifier/local). All methods are safe for concurrent use.
//
// # What an answer must be
//
// A revocation takes effect only if this rule holds: Prove, Key and Changes return what was
// read after they were called. A source over a network can keep it with positions: each
// answer has the position that the other side had reached when it began to read. If Changes
// has returned a later position, the source asks again and drops that answer, so that a slow
// answer cannot bring back a dropped key.
//
// A source may be slow: an answer may take milliseconds or fail. The verifier asks once for
// all callers that wait for the same key, and remembers keys only within the source's
// [feed.Bounds]. It sends counts in batches, and repeats a batch until it is accepted, so
// that a source can number batches and count each once.
type Source interface {
	// Feed is how a verifier learns of changes. Epoch is called once for each check and must
	// not wait for anything: if changes arrive over a network, it is a number in this
	// process, which moves when a change arrives. Wait must not return at once each time while
	// the source cannot be read. That of a remote source also returns when it is time to call
	// Changes, which renews the lease.
	feed.Feed

	// Now returns the time t by the source's clock, by which keys expire. That of a remote
	// source is what the other side last told, and how much the monotonic clock advanced
	// since; a local one returns t.
	Now(t time.Time) time.Time

	// Applied is called with the position up to which the verifier has applied changes: it
	// has dropped every key that changed before, and will not remember an older state. A
	// remote source tells the other side at once, because writers wait for that. Applied is
	// called after each successful call of Changes, often with the same position,
	// and must not block.
	Applied(at feed.Position)

	// Prove finds out whose secret a token is. An error says that it could not find out. For
	// a wrong token it returns a Proof without a secret, and no error. The verifier remembers
	// the key of a Proof only if no change was applied since before the call.
	Prove(ctx context.Context, q *Question) (Proof, error)

	// Key returns the key with the exact id, whatever its status, if its row is as it was
	// sealed, or [keys.ErrNotFound]. It is called for keys that a token names, and for keys
	// with open requests.
	Key(ctx context.Context, id string) (*keys.Key, error)

	// AddUse and AddDenials store counts, all of them or none. After an error the verifier
	// calls them again later, with the counts since then added.
	AddUse(ctx context.Context, uses []usage.Use) error
	AddDenials(ctx context.Context, denials []usage.Denial) error

	// Open is called by New, before anything else: the error says why this source is of
	// no use to a verifier. Close ends what the source does in the background, and waits
	// for it; a store below it stays open. Methods that are called after Close fail.
	Open() error
	Close() error
}

// Question is a token to prove, with functions of the verifier that a source uses for it.
type Question struct {
	Token string
	ID    string    // the id in an mcpkeys token; empty for a token of another system
	Now   time.Time // by the source's clock

	// Alone is set if the source is remote and there is no lease: the answer must not be that
	// of a question which was asked before this one.
	Alone bool

	// Current returns the key with the id as it stands now: what the verifier remembers,
	// or what [Source.Key] says, asked once for all who wait for it.
	Current func(ctx context.Context, id string) (*keys.Key, error)

	// Prove calls Slow before each computation that keeps a core busy for milliseconds. An
	// error means that this caller must wait before it causes another; Prove then returns that
	// error.
	Slow func() error
}

// Proof says to which key and secret a token belongs.
type Proof struct {
	Key    *keys.Key // the key that the token names or proves; nil if there is none. A source that is not remote returns what [Question].Current returned
	Secret int64     // the number of the secret of Key that the token was proved to be; zero for none
	Ended  *Ended    // with a zero Secret: the token was a secret until a rotation ended it; it opens nothing
	KeyID  string    // with Ended, and with an error: the key that it is about, for logs
}

// Ended is a secret that a rotation ended.
type Ended struct {
	Secret int64 // its number
	At     time.Time
}
