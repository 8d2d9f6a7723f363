package connect

import (
	"context"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Backup copies the database of this machine into a new file. The error is [fs.ErrExist] if
// the file exists. An [*UntoldError] means that the backup was made, but its keys do not match
// its audit log, so that it cannot be restored.
func (s Settings) Backup(ctx context.Context, file string, progress sqlite.Progress) (snapshot sqlite.Snapshot, err error) {
	if err := s.Local(); err != nil {
		return sqlite.Snapshot{}, err
	}
	r, err := sqlite.OpenVerifier(s.DB, s.options())
	if err != nil {
		return sqlite.Snapshot{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if snapshot, err = r.Backup(ctx, file, progress); err != nil {
		return sqlite.Snapshot{}, err
	}
	report, err := store.VerifyAudit(ctx, r, nil)
	if f := report.Untold(); err == nil && f != nil {
		err = &UntoldError{*f}
	}
	return snapshot, err
}

// UntoldError says that an audit log was changed, or does not match the keys.
type UntoldError struct{ Fault audit.Fault }

func (e *UntoldError) Error() string { return e.Fault.What() }

// Restore prepares to restore a backup over the database of this machine, which may be
// missing. Close what it returns.
func (s Settings) Restore(ctx context.Context, backup string) (*sqlite.Restoration, error) {
	if err := s.Local(); err != nil {
		return nil, err
	}
	return sqlite.PrepareRestore(ctx, s.DB, backup, s.options())
}

// Actor names the user who runs this process, as in audit rows.
func Actor() audit.Actor { return localActor() }
