package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// Revoke implements [Manager]. A key whose seal is broken can also be revoked, and its audit
// row says so: revoking must never wait for a repair. It is revoked even if its row says that
// it already is. Only a sealed row is trusted: otherwise an attacker could plant that mark, so
// that nothing is written, and remove it later.
func (m *Local) Revoke(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := keys.ValidateText("reason", reason); err != nil {
		return nil, err
	}
	ctx = m.taking(ctx, func(k *keys.Key) bool { return !k.RevokedAt.IsZero() })
	return m.store.Update(ctx, id, func(k *keys.Key) (audit.Event, error) {
		if err := checkVersion(ctx, k); err != nil {
			return audit.Event{}, err
		}
		peppers := m.store.Peppers()
		tampered := peppers.CheckSeal(k) != nil
		if !k.RevokedAt.IsZero() && !tampered {
			return audit.Event{}, keys.ErrNoChange
		}
		now := m.Now()
		before := audit.StateOf(k, now)
		before.Tampered = tampered
		k.RevokedAt, k.RevokedReason = now, reason
		k.Version++
		peppers.Seal(k)
		return m.event(ctx, audit.ActionRevoke, id, now, before, audit.StateOf(k, now))
	})
}

// taking is for a change that takes rights away. Only a sealed row proves that it was made
// already. A revoked key has nothing left to take.
func (m *Local) taking(ctx context.Context, taken func(*keys.Key) bool) context.Context {
	return store.Taking(ctx, func(k *keys.Key) bool {
		return m.store.Peppers().CheckSeal(k) == nil && (!k.RevokedAt.IsZero() || taken(k))
	})
}
