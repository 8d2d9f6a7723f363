package keys

import (
	"context"
	"iter"
	"time"
)

// Reader is what checking and looking need of a store. All methods are safe for
// concurrent use, return copies, and fail with an error that is [ErrUnavailable]
// when the store cannot be read. The proof of an implementation is store/storetest.
type Reader interface {
	Feed
	UseLog
	DenialLog

	// Key returns the key with the exact id, whatever its status, or ErrNotFound.
	// Ids are case-sensitive. It does not check the seal.
	Key(ctx context.Context, id string) (*Key, error)

	// Superseded returns the secrets of the key with the exact id that rotations ended,
	// the newest first; none for an unknown key. See [Supersede].
	Superseded(ctx context.Context, id string) ([]Superseded, error)

	// FindImported returns the ids of keys that have a secret with one of the lookups, in
	// order; at most a few. See [Peppers.Lookups].
	FindImported(ctx context.Context, lookups [][]byte) ([]string, error)

	// FindSuperseded returns the ids of keys that had a secret with one of the lookups until
	// a rotation ended it, as [Reader.Superseded] returns it; in order, at most a few.
	FindSuperseded(ctx context.Context, lookups [][]byte) ([]string, error)

	// List returns the keys that fit q, newest first.
	List(ctx context.Context, q Query) (Page, error)

	// Audit returns the rows of the audit log that fit q, as they are: also those that
	// somebody edited.
	Audit(ctx context.Context, q AuditQuery) (AuditPage, error)

	// Events returns audit rows with a Seq above after, oldest first, at most limit.
	Events(ctx context.Context, after int64, limit int) ([]Event, error)

	// Peppers returns the peppers of the store. A store and its peppers travel together,
	// because neither is of use alone. They may be others after any other method was
	// called, because somebody added a pepper or retired one: ask anew, also in a change
	// given to Update, and do not keep them.
	Peppers() *Peppers

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

	// Create writes a new key, sealed by the caller, and its event. It fails with
	// ErrIDTaken, or with ErrNameTaken when an unrevoked key of the owner has the
	// name, and then nothing is written.
	Create(ctx context.Context, k *Key, e Event) error

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
	CreateAll(ctx context.Context, n NewKeys, all iter.Seq2[*Key, Event]) error

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
	Update(ctx context.Context, id string, change func(*Key) (Event, error)) (*Key, error)

	// Record writes the event of something that was done to the store itself and to no
	// key, such as a restore. The event's KeyID is empty: what is done to a key is
	// written with the key.
	Record(ctx context.Context, e Event) error
}

// Lease is how long a reader may trust what it remembers without having looked: an
// entry is good while the last successful look at the store began less than a Lease
// ago. A store whose way of telling others failed, and was put right, holds back its
// writers' answers for as long.
const Lease = 2 * time.Second

// Feed tells what changed, in the order of commits, whoever changed it: another
// process and a database shell are seen too.
type Feed interface {
	// Epoch returns a number that is another one after each change that was
	// acknowledged, by any process, before the call. It costs about a nanosecond. A
	// store that cannot tell so cheaply returns another number each time.
	//
	// The numbers that one handle returns never fall, and one that was left behind
	// never comes again. A number says when to ask Changes, not what changed, and a
	// retried change that had nothing to do may move it too.
	Epoch() uint64

	// Changes returns the ids of keys changed after the position since, oldest
	// first, at most once each, and the position to ask from next time. The zero
	// Position yields no ids and is where a reader starts. Lost is true when the
	// store cannot tell everything since then, because it was restored or replaced, or
	// was put back to an older state and changed again, so that the change at since is
	// another one or is gone; the reader then forgets all it knows.
	//
	// Changes looks at the truth: it fails with ErrUnavailable when the store cannot be
	// read, with a [*MisplacedError] when what is open is not what others use, and with an
	// [*AlteredError] when the store is not as mcpkeys left it. A reader that hears one of
	// the last two does not use what it remembers.
	Changes(ctx context.Context, since Position) (Changes, error)
}

// Position is how far a reader has followed a [Feed].
type Position struct {
	Generation string // differs between a store and what was restored over it
	Seq        int64  // of the newest change
	Event      string // random id of that change; empty where no change has the number
}

// Changes is one answer of a [Feed].
type Changes struct {
	IDs  []string
	Next Position
	Lost bool

	// Imported is true while there is a secret with a lookup. As long as there is none,
	// a token of another shape than ours is nobody's.
	Imported bool
}

// Query says which keys to list. The zero Query lists all. Conditions add up.
// Texts are compared as they are: % and _ and * mean themselves.
type Query struct {
	Status    Status // at Now; empty means any
	Unrevoked bool
	Kind      Kind    // empty means both
	Name      string  // exact
	Owner     *string // exact; nil means any
	IDPrefix  string
	Scope     string    // among the granted ones, exactly as granted
	Audience  string    // among the key's, exactly
	Search    string    // part of id, name or owner, without regard to ASCII case
	ExpiresBy time.Time // unrevoked keys that end before this
	UnusedBy  time.Time // keys that were neither used nor issued since this; ErrUnavailable when that is not known

	Now    time.Time // for Status; the Manager sets it
	Limit  int       // of one page; 0 means [DefaultLimit], above [MaxLimit] is cut
	Cursor string    // Next of the page before
}

// Sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Page is a part of a list. Paging through all of it shows every key that was there
// from beginning to end exactly once, however many are issued meanwhile.
type Page struct {
	Keys []*Key
	Next string // opaque; empty on the last page

	// LastUsed tells of each of Keys that was ever used when that was last, by its id.
	// It is nil when that is not known, because what was counted cannot be read.
	LastUsed map[string]LastUse

	// Tampered holds the ids of those Keys whose seal is broken: what they say is not
	// to be believed. The Manager fills it; a store leaves it empty.
	Tampered []string
}
