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
	// Feed is how a verifier learns of changes. Epoch is asked once a check and must not
	// wait for anything: where changes are told over a network it is a number in this
	// process, which moves when something was heard.
	feed.Feed

	// Wait returns when the epoch is another than the given one, or ctx is over. It may
	// return early, and is called again then; but it does not return at once, again and
	// again, while the source cannot be asked.
	Wait(ctx context.Context, epoch uint64)

	// Applied is told how far the verifier has come: everything up to that position that
	// it remembered is dropped, and nothing older will be remembered. A source that has
	// to tell others when a change is effective passes it on. It is called after each
	// look that came through, often with the same position, and must not block.
	Applied(at feed.Position)

	// Prove finds out whose secret a token is. An error says that it could not find out, and
	// is never the answer to a bad token: that is a Proof without a secret.
	Prove(ctx context.Context, q *Question) (Proof, error)

	// Key returns the key with the exact id, whatever its status, if its row is as it was
	// sealed, or [keys.ErrNotFound]. It is asked of keys that a token named, and of those
	// that something is held open for.
	Key(ctx context.Context, id string) (*keys.Key, error)

	// AddUse and AddDenials write down what was counted, all of it or nothing. What fails
	// comes again, together with what was counted since.
	AddUse(ctx context.Context, uses []usage.Use) error
	AddDenials(ctx context.Context, denials []usage.Denial) error

	// Open is called by New, before anything else: the error says why this source is of
	// no use to a verifier. Close ends what the source does in the background, and waits
	// for it; a store below it stays open. Methods that are called after Close fail.
	Open() error
	Close() error
}

// Question is a token to prove, with what the verifier lends for it.
type Question struct {
	Token string
	ID    string    // the id in an mcpkeys token; empty for a token of another system
	Now   time.Time // by the verifier's clock

	// Current returns the key with the id as it stands now: what the verifier remembers,
	// or what [Source.Key] says, asked once for all who wait for it.
	Current func(ctx context.Context, id string) (*keys.Key, error)

	// Slow is asked before each computation that keeps a core busy for milliseconds. An
	// error means that this caller has had its share; Prove then returns that error.
	Slow func() error
}

// Proof is whose secret a token is.
type Proof struct {
	Key    *keys.Key // as [Question].Current returned it; nil if the token is of no key that there is
	Secret int64     // the number of the secret of Key that the token was proved to be; zero for none
	Ended  *Ended    // with a zero Secret: the token was a secret until a rotation ended it; it opens nothing
	KeyID  string    // with Ended, and with an error: the key that it is about, for logs
}

// Ended is a secret that a rotation ended.
type Ended struct {
	Secret int64 // its number
	At     time.Time
}
