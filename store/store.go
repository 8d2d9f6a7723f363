package store

import (
	"context"
	"iter"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// Reader checks and lists keys. All methods are safe for concurrent use, return copies, and
// fail with [keys.ErrUnavailable] if the store cannot be read. Test an implementation with
// store/storetest.
type Reader interface {
	feed.Feed
	UseLog
	DenialLog
	MessageLog
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

	// Audit returns the rows of the audit log that fit q, as they are, also edited ones.
	Audit(ctx context.Context, q audit.Query) (audit.Page, error)

	// Events returns audit rows with a Seq above after, oldest first, at most limit.
	Events(ctx context.Context, after int64, limit int) ([]audit.Event, error)

	// Peppers returns the peppers of the store, because neither can be used without the
	// other. They may change with any other call, if a pepper is added or retired: call
	// Peppers each time, also in a change given to Update.
	Peppers() *pepper.Set

	// Close waits for running calls and releases everything. Further calls fail with
	// ErrUnavailable.
	Close() error
}

// Store is a Reader that can also change keys. There is no way to change a key
// without an audit row: Create and Update write both in one transaction, or neither. A
// change that has begun completes even if ctx is cancelled, so that a client that
// disconnects cannot undo a revocation. A change that still waits for other writers has not
// begun, and is given up.
//
// A change that takes something away ([keys.TakesAway]), and one that finds nothing to do or
// was made before, also waits for guards on other hosts: see [Wait]. If ctx ends during that,
// the error is a [*WrittenError].
//
// An error means that nothing was written, with two exceptions: after a [*WrittenError] all
// of it was written, and a later step failed; after a [*MayBeLostError] it was written, but
// may be lost.
//
// A change whose context has a [Once] is made once: Create and Update first look for an
// earlier change with that word and, if there is one, fail as [Once.Check] says. Otherwise
// they write [Once.Done] in the same transaction. A change with nothing to write is kept as
// well; a failed one is not. Entries older than [OnceKept] may be deleted.
type Store interface {
	Reader
	PepperKeeper

	// Create writes a new key, sealed by the caller, and its event. It fails with
	// ErrIDTaken, or with ErrNameTaken when an unrevoked key of the owner has the
	// name, and then nothing is written.
	Create(ctx context.Context, k *keys.Key, e audit.Event) error

	// CreateAll creates many keys. They are written in parts, with other writers in between.
	// Until the last is written, no method finds any of them; then all become valid at once.
	// A key that is refused with a [*RefusedError], because its id, name or imported secret
	// is taken, is left out and reported to n. Any other failure ends the call.
	//
	// After an error that is neither a [*WrittenError] nor a [*MayBeLostError] none of the
	// keys ever becomes valid, and this call or a later one removes their rows. Only one call
	// runs at a time, in all processes; another one fails with ErrImporting, and so does the
	// creation of a key with a name or secret of the unfinished keys. CreateAll ranges over
	// all once; the iterator may read from the store.
	CreateAll(ctx context.Context, n NewKeys, all iter.Seq2[*keys.Key, audit.Event]) error

	// Update reads the key, calls change to alter and seal it, and writes it with the
	// event that change returns, all in one write transaction: two updates of one
	// key never overlap. It returns the new key. It changes exactly one row, or none.
	//
	// change must not alter id, kind and creation, or undo a revocation. If change returns
	// ErrNoChange, nothing is written and Update succeeds; on any other error nothing
	// is written and Update returns it. change may run more than once, and of the store
	// it may call only Peppers. Secrets that change removes are kept as [Supersede] says.
	Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error)

	// Record writes the event of a change to the store itself, such as a restore. The
	// event's KeyID is empty: events of keys are written with the key.
	Record(ctx context.Context, e audit.Event) error
}

// UseLog stores usage counts, apart from keys: a count never moves the epoch, never waits
// for a change to a key, and decides nothing.
type UseLog interface {
	// MayCount reports why counts could not be written: keys that are in use here would
	// look unused elsewhere.
	MayCount() error

	// AddUse adds all of uses in one transaction, or fails and adds none. A last use older
	// than the known one changes nothing. A time in the future, by the store's clock, counts
	// as now. By that clock, AddUse also sums up the oldest day whose hours are all older than
	// [usage.Kept], one day each time, and deletes counts of days older than [usage.DaysKept].
	AddUse(ctx context.Context, uses []usage.Use) error

	// Usage returns the use of the key with the exact id, with counts from the hour of
	// since on, or from its day if the hours of that day were summed up. For a key that was never used, or does not exist, only Since is set.
	Usage(ctx context.Context, keyID string, since time.Time) (usage.Usage, error)
}

// DenialLog stores denials. A [Reader] has it beside its [UseLog].
type DenialLog interface {
	// AddDenials adds all in one transaction, or fails and adds none. It also deletes rows
	// older than [usage.Kept], and rows beyond [usage.DenialsKept]: the oldest of the audience
	// with the most rows. A time in the future counts as now. Times are compared with the
	// store's clock.
	AddDenials(ctx context.Context, denials []usage.Denial) error

	// Denials returns the denials that fit q, newest first. It fails with ErrUnavailable if
	// they cannot be read.
	Denials(ctx context.Context, q DenialQuery) ([]usage.Denial, error)
}

// MessageLog stores what guards on other hosts counted, in the [UseLog] and the [DenialLog].
type MessageLog interface {
	// AddMessage adds the uses, the denials and the number of m in one transaction, or fails and
	// adds nothing. If the sender's number is m.N already, or higher, it adds nothing and
	// succeeds, also after a restart and through another handle. It also deletes numbers beyond
	// [usage.SendersKept] of the verify key, or older than [usage.MessagesKept] by the store's
	// clock.
	AddMessage(ctx context.Context, m *usage.Message) error
}

// VerifyAudit is [audit.Verify] of the log and the keys of r.
func VerifyAudit(ctx context.Context, r Reader, o *audit.VerifyOptions) (audit.Report, error) {
	sealed := func(k *keys.Key) error { return r.Peppers().CheckSeal(k) } // called each time, because peppers change
	return audit.Verify(ctx, r, sealed, o)
}
