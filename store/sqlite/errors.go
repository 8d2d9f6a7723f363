package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// SQLite's codes, as far as this package tells them apart.
const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26

	codePrimaryKey    = codeConstraint | 6<<8
	codeNoRoomToShare = 10 | 19<<8 // the -shm file could not grow
	codeUnique        = codeConstraint | 8<<8
)

// errClosed is what every method returns after Close.
var errClosed = fmt.Errorf("%w: it was closed", keys.ErrUnavailable)

// unavailable turns an error of the driver into [keys.ErrUnavailable]. It returns errors of
// a cancelled context, and nil, as they are, and a violated constraint as a refused change.
func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	basic, _ := codes(err)
	switch basic {
	case codeConstraint:
		return fmt.Errorf("%s: the database refuses the change; run 'keyctl doctor'%w", doing, quiet{err})
	case codeBusy:
		return fmt.Errorf("%s: %w: another process is writing: %w", doing, keys.ErrUnavailable, err)
	case codeFull:
		return fmt.Errorf("%s: %w: the disk is full: %w", doing, keys.ErrUnavailable, err)
	case codeCorrupt, codeNotADB:
		return fmt.Errorf("%s: %w: the file is damaged; restore a backup: %w", doing, keys.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, keys.ErrUnavailable, err)
}

// quiet wraps an error and hides its text, which for a violated constraint is a piece of the
// schema.
type quiet struct{ error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.error }

// refusedKey translates what can go wrong with a row of keys: its id or its name
// is taken.
func refusedKey(doing string, err error) error {
	switch _, extended := codes(err); extended {
	case codePrimaryKey:
		return keys.ErrIDTaken
	case codeUnique:
		return keys.ErrNameTaken
	}
	return unavailable(doing, err)
}
