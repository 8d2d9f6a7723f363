package keys

import "context"

// PepperUses tells which peppers there are and what depends on each.
func (m *LocalManager) PepperUses(ctx context.Context) ([]PepperUse, error) {
	return m.store.PepperUses(ctx, m.Now())
}

// AddPepper makes a fresh pepper the current one and returns its id. Keys go on to be
// good: each is kept with the new pepper when it is used next, or rotated. The pepper
// file must be backed up again.
func (m *LocalManager) AddPepper(ctx context.Context) (id string, err error) {
	return m.store.AddPepper(ctx, func(id string) (Event, error) {
		return NewEvent(ctx, m.actor, ActionPepperAdd, m.Now(), PepperDetail{id})
	})
}

// NeedPepper returns the keys that would be dead without the pepper, all of them.
func (m *LocalManager) NeedPepper(ctx context.Context, id string) ([]*Key, error) {
	all, _, err := m.store.NeedPepper(ctx, id, m.Now(), 0)
	return all, err
}

// FreePepper ends what k needs the pepper for. Where that is the old secret of a
// rotation, the rotation is finished and the key stays; otherwise, or when the key was
// changed outside mcpkeys, it is revoked.
func (m *LocalManager) FreePepper(ctx context.Context, k *Key, id, reason string) (*Key, error) {
	sound := m.store.Peppers().CheckSeal(k) == nil
	if n := len(k.Secrets); sound && n == 2 && k.Secrets[n-1].PepperID != id {
		issued, err := m.Rotate(ctx, k.ID, RotateRequest{Finish: k.Secrets[0].Number})
		return issued.Key, err
	}
	return m.Revoke(ctx, k.ID, reason)
}

// RetirePepper removes a pepper that no key needs: the keys that were sealed with it,
// dead ones too, are sealed with the current one first, so that all of them can be
// read and believed afterwards. It returns how many. It fails with ErrConflict for the
// current pepper, with a [*PepperNeededError] while a key needs it, and with
// ErrNotFound; what was resealed by then stays so.
//
// Backups of the database that were made before need the pepper: keep a backup of its
// file for as long as those are kept.
func (m *LocalManager) RetirePepper(ctx context.Context, id string) (resealed int, err error) {
	if err := m.MayRetirePepper(ctx, id); err != nil {
		return 0, err
	}
	resealed, err = m.store.Reseal(ctx, id, func(r Resealed) (Event, error) {
		return NewEvent(ctx, m.actor, ActionPepperReseal, m.Now(), r)
	})
	if err != nil {
		return resealed, err
	}
	e, err := NewEvent(ctx, m.actor, ActionPepperRetire, m.Now(), PepperDetail{id})
	if err != nil {
		return resealed, err
	}
	return resealed, m.store.RemovePepper(ctx, id, m.Now(), e)
}

// MayRetirePepper says why [LocalManager.RetirePepper] would fail, before anything is
// written. Whether it still holds is decided in the transaction that makes the store
// forget the pepper.
func (m *LocalManager) MayRetirePepper(ctx context.Context, id string) error {
	if err := m.store.Peppers().MayRemove(id); err != nil {
		return err
	}
	first, count, err := m.store.NeedPepper(ctx, id, m.Now(), FirstNeeding)
	if err != nil || count == 0 {
		return err
	}
	return &PepperNeededError{ID: id, Count: count, Keys: first}
}
