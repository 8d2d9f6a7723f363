package keys

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of administration and storage. Compare with [errors.Is]. Checking a request
// returns a [Decision] with a [Code], not an error.
var (
	// ErrMalformed: the text is not a token.
	ErrMalformed = errors.New("not a well-formed mcpkeys token")
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("no such key")
	// ErrConflict: the change contradicts what is stored.
	ErrConflict = errors.New("conflict")
	// ErrNameTaken: another unrevoked key of the owner has the name. It is an
	// ErrConflict.
	ErrNameTaken = Conflict("this owner already has an unrevoked key with that name; choose another name, or revoke that key first")
	// ErrIDTaken: the new random id is in use; draw another. It is an ErrConflict.
	ErrIDTaken = Conflict("the id is taken")
	// ErrTokenTaken: another key, in whatever state, has the token to import. It is an
	// ErrConflict.
	ErrTokenTaken = Conflict("another key already has this token; if that key is revoked, its token stays refused: issue a new key")
	// ErrHandleTaken: MaxPerHandle keys share the handle already. It is an ErrConflict.
	ErrHandleTaken = Conflict("%d keys with a slow hash already have this id, which is the limit; issue a new key", MaxPerHandle)
	// ErrVersion: the key does not have the version that the change expects. It is an
	// ErrConflict.
	ErrVersion = Conflict("the key has another version than the change expects; look at the key, and try again")
	// ErrImporting: an import is running, and its keys are not valid yet. It is an
	// ErrConflict.
	ErrImporting = Conflict("an import is running; wait until it ends, and try again")
	// ErrPepperRetired: the change used a pepper that was retired at that moment. It is an
	// ErrConflict.
	ErrPepperRetired = Conflict("the pepper was retired during this change; try again")
	// ErrDenied: the acting admin key may not do that.
	ErrDenied = errors.New("this admin key may not do that")
	// ErrTampered: the row's seal does not match its fields, so the row was changed
	// without the pepper.
	ErrTampered = errors.New("the key was changed outside mcpkeys: its row does not match its seal")
	// ErrUnavailable: the store cannot be read or written now.
	ErrUnavailable = errors.New("the key store is unavailable")
	// ErrNoChange is for change functions of [store.Store.Update]: there is nothing to
	// write.
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

// faults are several rules that one request breaks, so that all can be fixed at once.
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

// Invalid returns an [*InvalidError]. Its reason is a clause with the rule and the fix,
// formatted with args like [fmt.Sprintf]. It never contains the value.
func Invalid(field, reason string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

// Conflict returns an [ErrConflict] whose reason says what is in the way, and the fix.
func Conflict(reason string, args ...any) error {
	return &conflictError{fmt.Sprintf(reason, args...)}
}

type conflictError struct{ reason string }

func (e *conflictError) Error() string { return e.reason }

func (e *conflictError) Is(target error) bool { return target == ErrConflict }
