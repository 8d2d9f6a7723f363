package keys

import "context"

// Revoke implements [Manager]. A key whose seal is broken can be revoked too, and
// its audit row says that it was: revoking must never wait for a repair. It is
// revoked even when its row says that it is already. Only a sealed row is believed,
// or whoever plants that note would make us write nothing, and take it back later.
func (m *LocalManager) Revoke(ctx context.Context, id, reason string) (*Key, error) {
	if err := ValidateText("reason", reason); err != nil {
		return nil, err
	}
	ctx = m.taking(ctx, func(k *Key) bool { return !k.RevokedAt.IsZero() })
	return m.store.Update(ctx, id, func(k *Key) (Event, error) {
		if err := checkVersion(ctx, k); err != nil {
			return Event{}, err
		}
		peppers := m.store.Peppers()
		tampered := peppers.CheckSeal(k) != nil
		if !k.RevokedAt.IsZero() && !tampered {
			return Event{}, ErrNoChange
		}
		now := m.now()
		before := detailOf(k, now)
		before.Tampered = tampered
		k.RevokedAt, k.RevokedReason = now, reason
		k.Version++
		peppers.Seal(k)
		return m.event(ctx, ActionRevoke, id, now, before, detailOf(k, now))
	})
}

// taking is for a change that takes something away. Only a sealed row shows that it stands.
// What is revoked has nothing left to take.
func (m *LocalManager) taking(ctx context.Context, taken func(*Key) bool) context.Context {
	return taking(ctx, func(k *Key) bool {
		return m.store.Peppers().CheckSeal(k) == nil && (!k.RevokedAt.IsZero() || taken(k))
	})
}
