package keys

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
// It is no [ErrConflict] and no other error of a refusal, whatever the cause: it does not
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
// told. They find it by themselves: a verifier looks at its store as often as [Bounds] say.
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

// AlteredError says that the store itself is not as mcpkeys left it: it holds a trigger
// that mcpkeys did not make, or a number that mcpkeys did not write. It is an
// [ErrUnavailable], and more: nothing that was remembered of such a store is good, so
// checks do not wait for a lease to end. What still works are the look at it, and the
// changes that take something away: revoke and disable.
type AlteredError struct {
	What string // a clause: "it holds the trigger \"x\", which mcpkeys did not make"
	Fix  string // what to do, as a clause
}

func (e *AlteredError) Error() string {
	return fmt.Sprintf("the key store was changed outside mcpkeys: %s; %s", e.What, e.Fix)
}

// Is makes errors.Is(err, ErrUnavailable) hold.
func (e *AlteredError) Is(target error) bool { return target == ErrUnavailable }

// MisplacedError says that what this process has open of a store is not what other
// processes use, or that it lacks changes that were acknowledged: its files were replaced,
// or its path leads elsewhere. It is an [ErrUnavailable], and more: a change that others
// make does not reach this process, so checks do not wait for a lease to end.
type MisplacedError struct{ Cause error }

func (e *MisplacedError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *MisplacedError) Unwrap() error { return e.Cause }

// Is makes errors.Is(err, ErrUnavailable) hold.
func (e *MisplacedError) Is(target error) bool { return target == ErrUnavailable }
