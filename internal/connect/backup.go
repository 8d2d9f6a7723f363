package connect

import (
	"context"
	"errors"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Backup copies the database of this machine into a new file. The error is
// [fs.ErrExist] if there is one of that name.
func (s Settings) Backup(ctx context.Context, file string, progress sqlite.Progress) (snapshot sqlite.Snapshot, err error) {
	if err := s.Local(); err != nil {
		return sqlite.Snapshot{}, err
	}
	r, err := sqlite.OpenVerifier(s.DB, s.options())
	if err != nil {
		return sqlite.Snapshot{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.Backup(ctx, file, progress)
}
