package store

import "fmt"

// How a change can fail, by type: one for what was refused before anything of it was
// written, one for what went wrong after the commit, and one for a commit of which it is
// not known whether it counts. No error is of two.

// RefusedError says that a store refused a change before it wrote anything of it, for the
// reason that it wraps. Where many changes share a transaction only such a failure may be
// left out, and the rest committed: see [Store.CreateAll]. Any other failure takes all of
// them back.
type RefusedError struct{ Reason error }

func (e *RefusedError) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }

// WrittenError says that a change was committed, together with its audit row, and that
// what was to follow failed. The change stands. To repeat it is harmless where the verb
// is: a key that is revoked already stays revoked.
//
// It is no [keys.ErrConflict] and no other error of a refusal, whatever the cause: it does not
// unwrap.
type WrittenError struct {
	What        string // what is not done yet, as a clause: "other processes could not be told of it"
	Unannounced bool   // that is all: see [NotAnnounced]
	Cause       error
}

func (e *WrittenError) Error() string {
	return fmt.Sprintf("the change is written and durable, but %s: %v", e.What, e.Cause)
}

// NotAnnounced is the [*WrittenError] of a change of which other processes could not be
// told. They find it by themselves: a verifier looks at its store as often as [keys.Bounds] say.
func NotAnnounced(cause error) error {
	return &WrittenError{What: "it is not announced yet: servers on this machine find it by themselves within 250 ms", Unannounced: true, Cause: cause}
}

// MayBeLostError says that a change was committed, and that what it was committed to is
// not what other processes have open, or could not be found to be: its log was removed
// before it was announced, say. No server on this machine may ever hear of it. Look
// whether it is there, and repeat it if it is not.
//
// Like a [WrittenError] it does not unwrap. A store of which it was heard must be opened
// again.
type MayBeLostError struct {
	Cause error // why it may be lost, with what to do about that
}

func (e *MayBeLostError) Error() string {
	return fmt.Sprintf("the change may be lost: look whether it is there, and repeat it if it is not: %v", e.Cause)
}
