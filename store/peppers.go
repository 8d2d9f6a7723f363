package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// PepperState says what a pepper is to a store.
type PepperState string

// The states of peppers.
const (
	PepperCurrent PepperState = "current" // what is made now is made with it
	PepperRetired PepperState = "retired" // it verifies what was made with it
	PepperMissing PepperState = "missing" // rows or the database name it, and the pepper file does not hold it
)

// PepperUse is what depends on one pepper. It tells nothing of the pepper itself.
type PepperUse struct {
	ID    string
	State PepperState
	Noted bool      // the store knows its check value, so keys may be made with it
	Since time.Time // when it was noted; zero when that is not known

	LiveKeys int // keys that have a good secret made with it: they need it
	DeadKeys int // keys with secrets made with it that are all revoked or over
	Secrets  int // secrets made with it, good or not
	Seals    int // keys sealed with it, good or not
}

// PepperKeeper is what a [Store] does about its peppers: they can be replaced while others
// use it.
type PepperKeeper interface {
	// PepperUses tells of every pepper that is in the file, noted in the store, or named
	// by a key, as of now; first those of the file in its order, then the rest by id.
	PepperUses(ctx context.Context, now time.Time) ([]PepperUse, error)

	// NeedPepper returns the keys that have a good secret made with the pepper, by id, at
	// most limit, or all with a limit of 0; and how many there are in all.
	NeedPepper(ctx context.Context, id string, now time.Time, limit int) (first []*keys.Key, count int, err error)

	// AddPepper makes a fresh pepper the current one, and the one before it retired, in
	// the pepper file first and then in the store, together with the event that tells of
	// it. Where an earlier call died in between, it ends what that began.
	AddPepper(ctx context.Context, tells func(id string) (audit.Event, error)) (id string, err error)

	// Reseal seals every key whose seal holds, and was made with the pepper, with the
	// current one, some hundreds in each transaction, together with an event. Nothing
	// else of a key changes, and one whose seal is broken stays as it is. It returns how
	// many there were.
	Reseal(ctx context.Context, id string, tells func(audit.Resealed) (audit.Event, error)) (int, error)

	// RemovePepper makes the store forget a pepper, together with the event, and removes
	// it from the pepper file. It fails, and nothing is done, with ErrConflict for the
	// current one, with a [*PepperNeededError] when a key needs it by now, and with
	// ErrNotFound. It reseals what was sealed with it since [PepperKeeper.Reseal]. Where
	// an earlier call died before the file was written, it ends what that began.
	RemovePepper(ctx context.Context, id string, now time.Time, e audit.Event) error
}

// FirstNeeding is how many keys a [PepperNeededError] names.
const FirstNeeding = 5

// PepperNeededError is a pepper that cannot be retired. It is an [keys.ErrConflict].
type PepperNeededError struct {
	ID    string
	Count int         // of keys
	Keys  []*keys.Key // the first of them
}

func (e *PepperNeededError) Error() string {
	keys := "keys need"
	if e.Count == 1 {
		keys = "key needs"
	}
	return fmt.Sprintf("%d %s pepper %s: a key that is used gets a new digest by itself; rotate or revoke those that are not", e.Count, keys, e.ID)
}

// Is makes errors.Is(err, ErrConflict) hold.
func (e *PepperNeededError) Is(target error) bool { return target == keys.ErrConflict }
