package feed

import (
	"context"
	"time"
)

// pollEvery is how often [Poll] compares. It is one load from memory.
const pollEvery = 5 * time.Millisecond

// Poll is a Wait for a feed that cannot be told when its epoch moves: it compares every 5 ms.
func Poll(ctx context.Context, epoch func() uint64, from uint64) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for epoch() == from {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
