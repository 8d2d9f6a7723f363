package connect

import (
	"context"
	"os"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/doctor"
)

// Examine looks the key store of this machine over, and returns the worst that was found.
func (s Settings) Examine(ctx context.Context, now time.Time, tell func(doctor.Finding)) (doctor.State, error) {
	if err := s.Local(); err != nil {
		return doctor.Problem, err
	}
	self, _ := os.Executable() // a program that does not know its own path finds another
	return doctor.Examine(ctx, doctor.Subject{DB: s.DB, Options: s.options(), Self: self, Now: now}, tell)
}
