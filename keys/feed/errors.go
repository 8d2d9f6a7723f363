package feed

import (
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// AlteredError says that the store was changed outside mcpkeys: it contains, say, a trigger
// that mcpkeys did not make, or a number that mcpkeys did not write. It is a
// [keys.ErrUnavailable]. Nothing remembered of such a store is valid, so checks fail at once and
// not when the [Bounds.Lease] ends. Reading it, revoke and disable still work.
type AlteredError struct {
	What string // a clause: "it holds the trigger \"x\", which mcpkeys did not make"
	Fix  string // what to do, as a clause
}

func (e *AlteredError) Error() string {
	return fmt.Sprintf("the key store was changed outside mcpkeys: %s; %s", e.What, e.Fix)
}

// Is makes errors.Is(err, keys.ErrUnavailable) hold.
func (e *AlteredError) Is(target error) bool { return target == keys.ErrUnavailable }

// MisplacedError says that this process has other files of a store open than other
// processes, or that they lack acknowledged changes: the files were replaced, or the path
// leads elsewhere. It is a [keys.ErrUnavailable]. Changes of other processes do not reach this
// one, so checks fail at once and not when the [Bounds.Lease] ends.
type MisplacedError struct{ Cause error }

func (e *MisplacedError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *MisplacedError) Unwrap() error { return e.Cause }

// Is makes errors.Is(err, keys.ErrUnavailable) hold.
func (e *MisplacedError) Is(target error) bool { return target == keys.ErrUnavailable }
