package connect

import (
	"context"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Backup copies the database of this machine into a new file. The error is
// [fs.ErrExist] if there is one of that name. A [*audit.ChainError] means that the backup
// was made of an audit log that does not hold, so that no restore takes it.
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
	_, err = audit.VerifyChain(audit.Chain(ctx, r, 0))
	return snapshot, err
}

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
