package bench

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
	"github.com/mcpkeys/mcpkeys/keys"
)

// shown is how many of the many keys are presented, in turn.
const shown = 200_000

// makeMany makes a key store of size sealed keys at path, and returns the tokens of
// some of them, spread over all. All are valid, like the keys of a [Stage], and made at one
// instant.
func makeMany(ctx context.Context, path string, size int) ([]string, error) {
	now := time.Now()
	err := scale.FillWith(ctx, path, size, now, func(_ int, k *keys.Key) {
		k.CreatedAt = keys.StoredTime(now)
		k.Scopes, k.Audience = []string{"tools:get_*", "tools:search", "prompts:*"}, []string{audience}
		k.RateLimit = keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000}
		k.ExpiresAt = k.CreatedAt.Add(400 * 24 * time.Hour)
		k.RevokedAt, k.RevokedReason, k.DisabledAt = time.Time{}, "", time.Time{}
	})
	if err != nil {
		return nil, err
	}
	return scale.Tokens(path, min(size, shown))
}
