package keys

import "context"

// Reseal seals k with the current pepper if its seal is another one's and holds. It
// reports whether it did. A broken seal is left: to renew it would make true what
// somebody wrote who had no pepper.
func (p *Peppers) Reseal(k *Key) bool {
	if k.Seal.PepperID == p.current.id || p.CheckSeal(k) != nil {
		return false
	}
	p.Seal(k)
	return true
}

func (m *LocalManager) keeper() (PepperKeeper, error) {
	if keeper, ok := m.store.(PepperKeeper); ok {
		return keeper, nil
	}
	return nil, errNoKeeper
}

// PepperUses tells which peppers there are and what depends on each.
func (m *LocalManager) PepperUses(ctx context.Context) ([]PepperUse, error) {
	keeper, err := m.keeper()
	if err != nil {
		return nil, err
	}
	return keeper.PepperUses(ctx, m.now())
}

// AddPepper makes a fresh pepper the current one and returns its id. Keys go on to be
// good: each is kept with the new pepper when it is used next, or rotated. The pepper
// file must be backed up again.
func (m *LocalManager) AddPepper(ctx context.Context) (id string, err error) {
	keeper, err := m.keeper()
	if err != nil {
		return "", err
	}
	return keeper.AddPepper(ctx, func(id string) (Event, error) {
		return NewEvent(ctx, m.actor, ActionPepperAdd, m.now(), PepperDetail{id})
	})
}

// NeedPepper returns the keys that would be dead without the pepper, all of them.
func (m *LocalManager) NeedPepper(ctx context.Context, id string) ([]*Key, error) {
	keeper, err := m.keeper()
	if err != nil {
		return nil, err
	}
	all, _, err := keeper.NeedPepper(ctx, id, m.now(), 0)
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
	keeper, err := m.keeper()
	if err != nil {
		return 0, err
	}
	if err := m.MayRetirePepper(ctx, id); err != nil {
		return 0, err
	}
	resealed, err = keeper.Reseal(ctx, id, func(r Resealed) (Event, error) {
		return NewEvent(ctx, m.actor, ActionPepperReseal, m.now(), r)
	})
	if err != nil {
		return resealed, err
	}
	e, err := NewEvent(ctx, m.actor, ActionPepperRetire, m.now(), PepperDetail{id})
	if err != nil {
		return resealed, err
	}
	return resealed, keeper.RemovePepper(ctx, id, m.now(), e)
}

// MayRetirePepper says why [LocalManager.RetirePepper] would fail, before anything is
// written. Whether it still holds is decided in the transaction that makes the store
// forget the pepper.
func (m *LocalManager) MayRetirePepper(ctx context.Context, id string) error {
	keeper, err := m.keeper()
	if err != nil {
		return err
	}
	peppers := m.store.Peppers()
	switch {
	case id == peppers.Current():
		return currentPepper()
	case !peppers.Has(id):
		return noSuchPepper()
	}
	first, count, err := keeper.NeedPepper(ctx, id, m.now(), FirstNeeding)
	if err != nil || count == 0 {
		return err
	}
	return &PepperNeededError{ID: id, Count: count, Keys: first}
}
