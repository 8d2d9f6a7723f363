package doctor

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/store"
)

// ExamineKeys runs the checks that read all keys.
func ExamineKeys(ctx context.Context, r store.Reader, now time.Time, tell func(Finding)) {
	e := &examination{Subject: Subject{Now: now}, ctx: ctx, tell: tell, worst: OK}
	e.audit(r)
	e.keys(r)
}
