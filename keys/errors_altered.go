package keys

import "fmt"

// AlteredError says that the store itself is not as mcpkeys left it: it holds a trigger
// that mcpkeys did not make, or a number that mcpkeys did not write. It is an
// [ErrUnavailable], and more: nothing that was remembered of such a store is good, so
// checks do not wait for a [Lease] to end. What still works are the look at it, and the
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
// make does not reach this process, so checks do not wait for a [Lease] to end.
type MisplacedError struct{ Cause error }

func (e *MisplacedError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *MisplacedError) Unwrap() error { return e.Cause }

// Is makes errors.Is(err, ErrUnavailable) hold.
func (e *MisplacedError) Is(target error) bool { return target == ErrUnavailable }
