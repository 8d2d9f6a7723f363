package store

import (
	"context"
	"iter"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// Reader is what checking and looking need of a store. All methods are safe for
// concurrent use, return copies, and fail with an error that is [keys.ErrUnavailable]
// when the store cannot be read. The proof of an implementation is store/storetest.
type Reader interface {
	keys.Feed
	UseLog
	DenialLog
	pepper.Rehasher

	// Key returns the key with the exact id, whatever its status, or ErrNotFound.
	// Ids are case-sensitive. It does not check the seal.
	Key(ctx context.Context, id string) (*keys.Key, error)

	// Superseded returns the secrets of the key with the exact id that rotations ended,
	// the newest first; none for an unknown key. See [Supersede].
	Superseded(ctx context.Context, id string) ([]keys.Superseded, error)

	// FindImported returns the ids of keys that have a secret with one of the lookups, in
	// order; at most a few. See [pepper.Set.Lookups].
	FindImported(ctx context.Context, lookups [][]byte) ([]string, error)

	// FindSuperseded returns the ids of keys that had a secret with one of the lookups until
	// a rotation ended it, as [Reader.Superseded] returns it; in order, at most a few.
	FindSuperseded(ctx context.Context, lookups [][]byte) ([]string, error)

	// List returns the keys that fit q, newest first.
	List(ctx context.Context, q keys.Query) (keys.Page, error)

	// Audit returns the rows of the audit log that fit q, as they are: also those that
	// somebody edited.
	Audit(ctx context.Context, q audit.Query) (audit.Page, error)

	// Events returns audit rows with a Seq above after, oldest first, at most limit.
	Events(ctx context.Context, after int64, limit int) ([]audit.Event, error)

	// Peppers returns the peppers of the store. A store and its peppers travel together,
	// because neither is of use alone. They may be others after any other method was
	// called, because somebody added a pepper or retired one: ask anew, also in a change
	// given to Update, and do not keep them.
	Peppers() *pepper.Set

	// Close waits for what is under way and releases everything. Further calls fail
	// with ErrUnavailable.
	Close() error
}

// Store is a Reader that can also change keys. There is no way to change a key
// without an audit row: Create and Update write both in one transaction, or neither. A
// change goes on to its end when ctx is cancelled half-way, so that a client who
// hangs up cannot undo a revocation. One that has to wait until others have written has not
// begun, and is given up.
//
// An error means that nothing was written, with two exceptions: a [*WrittenError] says that
// all of it was, and only what was to follow the commit failed; a [*MayBeLostError] that it
// was, and may not count.
//
// A change whose context carries a [Once] is made once: Create and Update look for what
// was done under the word before they do anything, fail as [Once.Check] says if there is
// something, and else keep what [Once.Done] makes of the change in the same transaction. A
// change with nothing to write is kept as well; one that failed is not. What is
// [OnceKept] old may be let go.
type Store interface {
	Reader
	PepperKeeper

	// Create writes a new key, sealed by the caller, and its event. It fails with
	// ErrIDTaken, or with ErrNameTaken when an unrevoked key of the owner has the
	// name, and then nothing is written.
	Create(ctx context.Context, k *keys.Key, e audit.Event) error

	// CreateAll creates many keys. They are written in parts, and others write in between.
	// Until the last is written no key of them is found by any method; then all become
	// valid at once. A key that is refused before anything of it was written, with a
	// [*RefusedError], is left out, and n hears of it: its id, name or imported secret is
	// taken. Any other failure is that of the call.
	//
	// With an error that is neither a [*WrittenError] nor a [*MayBeLostError] none of the keys
	// is ever valid, and what was written of them is removed, by this call or by a later one. One call runs at a
	// time, in whatever process; another is refused with ErrImporting, and so is a key whose
	// name or secret one of the keys has that are not valid yet. All is ranged over once, and
	// may read from the store.
	CreateAll(ctx context.Context, n NewKeys, all iter.Seq2[*keys.Key, audit.Event]) error

	// Update reads the key, lets change alter and seal it, and writes it with the
	// event that change returns, all in one write transaction: two updates of one
	// key never overlap. It returns the key as it then stands. Exactly one row is
	// touched, or none.
	//
	// Id, kind and creation are not change's to alter, and a revocation stays. When change returns
	// ErrNoChange nothing is written and Update succeeds; on any other error nothing
	// is written and Update returns it. change may run more than once and must call
	// nothing of the store but Peppers. Secrets that change takes away are kept as
	// [Supersede] says.
	Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error)

	// Record writes the event of something that was done to the store itself and to no
	// key, such as a restore. The event's KeyID is empty: what is done to a key is
	// written with the key.
	Record(ctx context.Context, e audit.Event) error
}

// UseLog is where counts are written down, apart from keys: a count never moves the
// epoch, never waits for a change of a key, and has no part in any decision.
type UseLog interface {
	// MayCount reports why what is counted could not be written down: keys that are in
	// use here would look unused elsewhere.
	MayCount() error

	// AddUse adds all of uses in one transaction, or fails and adds none. A last use
	// that is older than what is known changes nothing. A time that lies in the future by
	// the store's own clock counts as now. Counts older than [keys.UsageKept], by that clock,
	// are let go at this occasion.
	AddUse(ctx context.Context, uses []keys.Use) error

	// Usage returns what is known of the key with the exact id, counts from the hour
	// of since on. A key that was never used, or does not exist, has no more than a
	// Since.
	Usage(ctx context.Context, keyID string, since time.Time) (keys.Usage, error)
}

// DenialLog is where denials are written down. A [Reader] has it beside its [UseLog].
type DenialLog interface {
	// AddDenials adds all in one transaction, or fails and adds none. What goes beyond
	// [keys.DenialsKept], or is older than [keys.UsageKept], is let go at this occasion, and the time
	// of one in the future counts as now, both by the store's own clock.
	AddDenials(ctx context.Context, denials []keys.Denial) error

	// Denials returns the denials that fit q, newest first. It fails with ErrUnavailable
	// when what was written cannot be read.
	Denials(ctx context.Context, q DenialQuery) ([]keys.Denial, error)
}

// VerifyAudit is [audit.Verify] of the log and the keys of r.
func VerifyAudit(ctx context.Context, r Reader, o *audit.VerifyOptions) (audit.Report, error) {
	sealed := func(k *keys.Key) error { return r.Peppers().CheckSeal(k) } // asked each time: peppers change
	return audit.Verify(ctx, r, sealed, o)
}
