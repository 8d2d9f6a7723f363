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

	// Current returns what proves the secrets of the key with the id, as it stands now: what the
	// verifier remembers, or what [Source.Key] says, asked once for all who wait for it.
	Current func(ctx context.Context, id string) (*Known, error)

	// Prove calls Slow before each computation that keeps a core busy for milliseconds. An
	// error means that this caller must wait before it causes another; Prove then returns that
	// error.
	Slow func() error
}

// Known is what a source needs of a key to find out whether a token is a secret of it. It is
// immutable: a source must not change what it leads to.
type Known struct {
	ID        string
	RevokedAt time.Time        // zero: it is not revoked
	Secrets   []keys.KeySecret // in the order of their numbers

	entry *entry // nil: no verifier made it
}

// KnownOf is what is to be known of k. It is for programs that ask a source without a verifier: a
// verifier accepts only what its own [Question].Current returned.
func KnownOf(k *keys.Key) *Known { return &Known{ID: k.ID, RevokedAt: k.RevokedAt, Secrets: k.Secrets} }

// Secret returns the secret with the number, or nil.
func (k *Known) Secret(number int64) *keys.KeySecret {
	for i := range k.Secrets {
		if k.Secrets[i].Number == number {
			return &k.Secrets[i]
		}
	}
	return nil
}

// lasting is [keys.Key.Lasting].
func (k *Known) lasting() *keys.KeySecret {
	of := keys.Key{Secrets: k.Secrets}
	return of.Lasting()
}

// Proof says to which key and secret a token belongs. A source that is not remote sets Known, and a
// remote one Key.
type Proof struct {
	Known  *Known    // what [Question].Current returned of the key that the token names or proves; nil if there is none
	Key    *keys.Key // the key that the token names or proves; nil if there is none
	Secret int64     // the number of the secret of that key that the token was proved to be; zero for none
	Ended  *Ended    // with a zero Secret: the token was a secret until a rotation ended it; it opens nothing
	KeyID  string    // with Ended, and with an error: the key that it is about, for logs
}

// exists is the id of the key that the token names; empty if there is none.
func (p *Proof) exists() string {
	switch {
	case p.Known != nil:
		return p.Known.ID
	case p.Key != nil:
		return p.Key.ID
	}
	return ""
}

// Ended is a secret that a rotation ended.
type Ended struct {
	Secret int64 // its number
	At     time.Time
}
