package admin

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Disable implements [Manager].
func (m *Local) Disable(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := keys.ValidateText("reason", reason); err != nil {
		return nil, err
	}
	ctx = m.taking(ctx, func(k *keys.Key) bool { return !k.DisabledAt.IsZero() })
	return m.change(ctx, id, audit.ActionDisable, reason, func(k *keys.Key, now time.Time) error {
		if !k.DisabledAt.IsZero() {
			return keys.ErrNoChange
		}
		k.DisabledAt = now
		return nil
	})
}

// Enable implements [Manager].
func (m *Local) Enable(ctx context.Context, id string) (*keys.Key, error) {
	return m.change(ctx, id, audit.ActionEnable, "", func(k *keys.Key, _ time.Time) error {
		if k.DisabledAt.IsZero() {
			return keys.ErrNoChange
		}
		k.DisabledAt = time.Time{}
		return nil
	})
}
