package keys

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of administration and storage. Compare with [errors.Is]. The outcome of a
// request's check is not an error but a [Decision] with a [Code].
var (
	// ErrMalformed: the text is no token.
	ErrMalformed = errors.New("not a well-formed mcpkeys token")
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("no such key")
	// ErrConflict: the change contradicts what is stored.
	ErrConflict = errors.New("conflict")
	// ErrNameTaken: another unrevoked key of the owner has the name. It is an
	// ErrConflict.
	ErrNameTaken = fmt.Errorf("%w: this owner already has an unrevoked key of that name; choose another name, or revoke that key first", ErrConflict)
	// ErrIDTaken: the freshly drawn id is in use; draw again. It is an ErrConflict.
	ErrIDTaken = fmt.Errorf("%w: the id is taken", ErrConflict)
	// ErrTokenTaken: another key, living or dead, has the token that is to be imported.
	// It is an ErrConflict.
	ErrTokenTaken = fmt.Errorf("%w: a key has this token already; if that key was revoked, its token does not come back: issue a new key", ErrConflict)
	// ErrHandleTaken: the handle is shared by as many as may share one. It is an
	// ErrConflict.
	ErrHandleTaken = fmt.Errorf("%w: %d keys with a slow hash share this id already, and all of them would have to be tried; issue a new key", ErrConflict, MaxPerHandle)
	// ErrVersion: the key is not at the version that a change was made for. It is an
	// ErrConflict.
	ErrVersion = fmt.Errorf("%w: the key was changed meanwhile; look at it again, and decide again", ErrConflict)
	// ErrImporting: an import runs, and what it writes is not valid yet. It is an
	// ErrConflict.
	ErrImporting = fmt.Errorf("%w: an import is running, and has not finished; wait until it has, and try again", ErrConflict)
	// ErrPepperRetired: what was to be written was made with a pepper that was retired
	// at that moment. It is an ErrConflict.
	ErrPepperRetired = fmt.Errorf("%w: its pepper was retired at this moment; try again", ErrConflict)
	// ErrDenied: the acting admin key may not do that.
	ErrDenied = errors.New("this admin key may not do that")
	// ErrTampered: the row's seal does not match its fields, so somebody changed
	// it without the pepper.
	ErrTampered = errors.New("the key was changed outside mcpkeys: its row does not match its seal")
	// ErrUnavailable: the store cannot be read or written now.
	ErrUnavailable = errors.New("the key store is unavailable")
	// ErrNoChange is what a change function given to [store.Store.Update] returns when
	// there is nothing to write.
	ErrNoChange = errors.New("nothing to change")
)

// InvalidError is input that breaks a rule. Its text names the field and the fix
// and never holds the value.
type InvalidError struct {
	Field  string // as the API names it: "name", "scopes", "expires"
	Reason string // a clause that says the rule and the fix
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// Faults returns every [*InvalidError] that err holds, in the order of the rules.
func Faults(err error) (list []*InvalidError) {
	if one, ok := err.(*InvalidError); ok { //nolint:errorlint // the walk is below
		return []*InvalidError{one}
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		return Faults(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			list = append(list, Faults(one)...)
		}
	}
	return list
}

// faults are several rules that one request breaks, so that they can be mended at once.
type faults []error

func (f faults) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f faults) Unwrap() []error { return f }

// AllOf returns every error of errs as one, which [Faults] lists, or nil.
func AllOf(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return faults(errs)
}

// Invalid returns an [*InvalidError]. Its reason is a clause that says the rule and the fix,
// with args put into it as [fmt.Sprintf] does, and never holds the value.
func Invalid(field, reason string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

// Conflict returns an [ErrConflict] whose reason says what stands in the way, and the fix.
func Conflict(reason string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConflict, fmt.Sprintf(reason, args...))
}

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
