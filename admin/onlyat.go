package admin

import (
	"context"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// OnlyAt returns ctx for one change of a key that is made only while the key is at one of the
// versions. Otherwise any change fails with [keys.ErrVersion], also one that would change
// nothing. Without versions it always fails.
func OnlyAt(ctx context.Context, versions ...int64) context.Context {
	return context.WithValue(ctx, versionsKey{}, versions)
}

type versionsKey struct{}

// checkVersion compares k with the versions of [OnlyAt] in ctx.
func checkVersion(ctx context.Context, k *keys.Key) error {
	versions, ok := ctx.Value(versionsKey{}).([]int64)
	if ok && !slices.Contains(versions, k.Version) {
		return keys.ErrVersion
	}
	return nil
}
