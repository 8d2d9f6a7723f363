package sqlite

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Missing is how many acknowledged changes the present key store lacks, according to its
// epoch file: its log was removed, or an older file was copied over it. Missing changes
// cannot be compared with a backup, so a key that one of them revoked becomes valid again.
type Missing struct {
	Changes uint64
	Unknown error // why it is unknown; nil if it is known; [fs.ErrNotExist] if there is no present key store
}

// None reports whether it is known that nothing is missing.
func (m Missing) None() bool { return m.Unknown == nil && m.Changes == 0 }

// noted is the number as an audit row has it: nil when it is not known.
func (m Missing) noted() *uint64 {
	if m.Unknown != nil {
		return nil
	}
	return &m.Changes
}

// lacking holds the present key store against its epoch file.
func (r *Restoration) lacking(ctx context.Context) Missing {
	if !r.exists {
		return Missing{Unknown: fmt.Errorf("no key store at %s: %w", r.path, fs.ErrNotExist)}
	}
	missing, err := CheckPosition(ctx, r.path)
	if missing > 0 {
		return Missing{Changes: missing}
	}
	return Missing{Unknown: err}
}

// stillMissing refuses to restore if more is missing than the operator was shown and agreed
// to. It returns what is missing now.
func (r *Restoration) stillMissing(ctx context.Context) (Missing, error) {
	now := r.lacking(ctx)
	switch told := r.Missing; {
	case told.Unknown != nil:
		return now, nil //nolint:nilerr // who agreed was told that it cannot be told
	case now.Unknown != nil:
		return now, keys.Conflict("it is no longer known which changes the present key store lacks, so nothing was restored; try again")
	case now.Changes > told.Changes:
		return now, keys.Conflict("the present key store lost more changes during this restore, so nothing was restored; try again")
	}
	return now, nil
}
