package connect

import (
	"context"
	"os"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Examine checks the key store of this machine, and returns the worst state that it found.
func (s Settings) Examine(ctx context.Context, now time.Time, tell func(doctor.Finding)) (doctor.State, error) {
	if err := s.Local(); err != nil {
		return doctor.Problem, err
	}
	self, _ := os.Executable() // without its own path, any keyctl on PATH counts as another one
	return doctor.Examine(ctx, doctor.Subject{DB: s.DB, Options: s.options(), Self: self, Now: now}, tell)
}

// Misplaced returns how many acknowledged changes the database lacks, as far as that is known,
// and an error that says why servers refuse the key store. The error is nil if nothing is
// wrong.
func (s Settings) Misplaced(ctx context.Context) (missing uint64, err error) {
	return sqlite.CheckPosition(ctx, s.DB)
}

// Mend makes the database usable as it is.
func (s Settings) Mend(ctx context.Context, now time.Time) error {
	if err := s.Local(); err != nil {
		return err
	}
	_, err := sqlite.Mend(ctx, s.DB, s.options(), localActor(), now)
	return err
}
