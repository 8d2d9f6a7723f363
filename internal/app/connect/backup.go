package connect

import (
	"context"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Backup copies the database of this machine into a new file. The error is
// [fs.ErrExist] if there is one of that name. An [*UntoldError] means that the backup was
// made of keys that the audit log does not tell, so that no restore takes it.
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

// UntoldError is an audit log that does not hold, or does not tell of the keys as they are.
type UntoldError struct{ Fault audit.Fault }

func (e *UntoldError) Error() string { return e.Fault.What() }

// Restore makes ready to restore a backup into the database of this machine, or where
// there is none. Close what it returns.
func (s Settings) Restore(ctx context.Context, backup string) (*sqlite.Restoration, error) {
	if err := s.Local(); err != nil {
		return nil, err
	}
	return sqlite.PrepareRestore(ctx, s.DB, backup, s.options())
}

// Actor names the user who runs this process, as audit rows do.
func Actor() audit.Actor { return localActor() }
