package keys

import (
	"context"
	"time"
)

// Disable implements [Manager].
func (m *LocalManager) Disable(ctx context.Context, id, reason string) (*Key, error) {
	if err := ValidateText("reason", reason); err != nil {
		return nil, err
	}
	ctx = m.taking(ctx, func(k *Key) bool { return !k.DisabledAt.IsZero() })
	return m.change(ctx, id, ActionDisable, reason, func(k *Key, now time.Time) error {
		if !k.DisabledAt.IsZero() {
			return ErrNoChange
		}
		k.DisabledAt = now
		return nil
	})
}

// Enable implements [Manager].
func (m *LocalManager) Enable(ctx context.Context, id string) (*Key, error) {
	return m.change(ctx, id, ActionEnable, "", func(k *Key, _ time.Time) error {
		if k.DisabledAt.IsZero() {
			return ErrNoChange
		}
		k.DisabledAt = time.Time{}
		return nil
	})
}
