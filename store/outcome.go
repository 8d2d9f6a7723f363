package store

import "fmt"

// How a change can fail, by type: refused before anything was written, failed after the
// commit, or committed but perhaps lost. An error has at most one of these types.

// RefusedError says that a store refused a change before writing anything, for the reason
// that it wraps. If many changes share a transaction, only such a change may be left out and
// the rest committed: see [Store.CreateAll]. Any other failure rolls all of them back.
type RefusedError struct{ Reason error }

func (e *RefusedError) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }

// WrittenError says that a change was committed, together with its audit row, and that a
// later step failed. The change is valid. Repeating it is as harmless as repeating the
// command: a revoked key stays revoked.
//
// It does not unwrap, so it is never a [keys.ErrConflict] or another refusal, whatever the
// cause.
type WrittenError struct {
	What        string // what is not done yet, as a clause: "servers on this machine were not told"
	Unannounced bool   // only the announcement failed: see [NotAnnounced]
	Cause       error
}

func (e *WrittenError) Error() string {
	return fmt.Sprintf("the change is written and durable, but %s: %v", e.What, e.Cause)
}

// NotAnnounced is the [*WrittenError] of a change that could not be announced to other
// processes. They find it by themselves within [feed.Bounds.Look].
func NotAnnounced(cause error) error {
	return &WrittenError{What: "it is not announced yet: servers on this machine find it within 250 ms", Unannounced: true, Cause: cause}
}

// MayBeLostError says that a change was committed, but perhaps to other files than other
// processes use: for example, the database's log was removed before the change was announced.
// Servers on this machine may never see it. Check whether it took effect, and repeat it if
// not.
//
// Like a [WrittenError] it does not unwrap. Open the store again after it.
type MayBeLostError struct {
	Cause error // why it may be lost, with what to do about that
}

func (e *MayBeLostError) Error() string {
	return fmt.Sprintf("the change may be lost; check whether it took effect, and repeat it if not: %v", e.Cause)
}
