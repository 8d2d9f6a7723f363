package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// PepperState is the state of a pepper in a store.
type PepperState string

// The states of peppers.
const (
	PepperCurrent PepperState = "current" // new digests and seals are made with it
	PepperOld     PepperState = "old"     // it still verifies what was made with it
	PepperMissing PepperState = "missing" // the database or its rows name it, but the pepper file lacks it
)

// PepperUse is what depends on one pepper. It reveals nothing about the pepper itself.
type PepperUse struct {
	ID    string
	State PepperState
	Noted bool      // the store knows its check value, so keys may be made with it
	Since time.Time // when it was noted; zero if unknown

	LiveKeys int // keys that have a valid secret made with it: they need it
	DeadKeys int // keys whose secrets made with it are all revoked or expired
	Secrets  int // secrets made with it, valid or not
	Seals    int // keys sealed with it, valid or not
}

// PepperKeeper is the part of a [Store] that replaces its peppers, also while other
// processes use it.
type PepperKeeper interface {
	// PepperUses lists every pepper that is in the file, noted in the store, or named by a
	// key, as of now: first the file's in its order, then the rest by id.
	PepperUses(ctx context.Context, now time.Time) ([]PepperUse, error)

	// NeedPepper returns the keys that have a valid secret made with the pepper, by id, at
	// most limit, or all with a limit of 0; and the total count.
	NeedPepper(ctx context.Context, id string, now time.Time, limit int) (first []*keys.Key, count int, err error)

	// AddPepper makes a new pepper current and retires the one before it, first in the
	// pepper file and then in the store, together with its event. If an earlier call was
	// interrupted in between, it completes that one.
	AddPepper(ctx context.Context, tells func(id string) (audit.Event, error)) (id string, err error)

	// Reseal seals every key that has an intact seal of the pepper with the current one,
	// some hundreds in each transaction, together with an event. Nothing else in a key
	// changes, and a key with a broken seal is not changed. It returns how many keys it
	// sealed.
	Reseal(ctx context.Context, id string, tells func(audit.Resealed) (audit.Event, error)) (int, error)

	// RemovePepper removes a pepper from the store, together with its event, and then from
	// the pepper file. It does nothing and fails with ErrConflict for the current pepper,
	// with a [*PepperNeededError] if a key needs the pepper at now, and with ErrNotFound. It
	// reseals keys that were sealed with it after [PepperKeeper.Reseal]. If an earlier call
	// was interrupted before the file was written, it completes that one.
	RemovePepper(ctx context.Context, id string, now time.Time, e audit.Event) error
}

// FirstNeeding is how many keys a [PepperNeededError] names.
const FirstNeeding = 5

// PepperNeededError says that a pepper cannot be retired. It is a [keys.ErrConflict].
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
	return fmt.Sprintf("%d %s pepper %s: a key that is used moves to the current pepper by itself; rotate or revoke the others", e.Count, keys, e.ID)
}

// Is makes errors.Is(err, ErrConflict) hold.
func (e *PepperNeededError) Is(target error) bool { return target == keys.ErrConflict }
