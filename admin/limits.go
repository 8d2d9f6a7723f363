package admin

import (
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// LivesBeyond reports whether a key that ends at end, where zero is never, lives longer
// than life from now on.
func livesBeyond(end time.Time, life time.Duration, now time.Time) bool {
	return life != keys.LifeForEver && (end.IsZero() || end.After(now.Add(life)))
}

// AmbiguousError is a reference that fits several keys. It is an [keys.ErrConflict].
type AmbiguousError struct {
	Candidates []*keys.Key
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d keys fit that reference; use the id of the one you mean", len(e.Candidates))
}

// Is makes errors.Is(err, ErrConflict) hold.
func (e *AmbiguousError) Is(target error) bool { return target == keys.ErrConflict }
