package connect

import (
	"context"
	"os"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Examine looks the key store of this machine over, and returns the worst that was found.
func (s Settings) Examine(ctx context.Context, now time.Time, tell func(doctor.Finding)) (doctor.State, error) {
	if err := s.Local(); err != nil {
		return doctor.Problem, err
	}
	self, _ := os.Executable() // a program that does not know its own path finds another
	return doctor.Examine(ctx, doctor.Subject{DB: s.DB, Options: s.options(), Self: self, Now: now}, tell)
}

// Misplaced says why no server accepts the key store as it is, and how many acknowledged
// changes its database lacks, as far as known. The error is nil when nothing is wrong.
func (s Settings) Misplaced(ctx context.Context) (missing uint64, err error) {
	return sqlite.CheckPosition(ctx, s.DB)
}

// Mend makes the database as it is the key store again.
func (s Settings) Mend(ctx context.Context, now time.Time) error {
	if err := s.Local(); err != nil {
		return err
	}
	_, err := sqlite.Mend(ctx, s.DB, s.options(), localActor(), now)
	return err
}
