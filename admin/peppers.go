package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// PepperUses tells which peppers there are and what depends on each.
func (m *Local) PepperUses(ctx context.Context) ([]store.PepperUse, error) {
	return m.store.PepperUses(ctx, m.Now())
}

// AddPepper makes a fresh pepper the current one and returns its id. Keys go on to be
// good: each is kept with the new pepper when it is used next, or rotated. The pepper
// file must be backed up again.
func (m *Local) AddPepper(ctx context.Context) (id string, err error) {
	return m.store.AddPepper(ctx, func(id string) (audit.Event, error) {
		return audit.NewEvent(ctx, m.actor, audit.ActionPepperAdd, m.Now(), audit.PepperDetail{Pepper: id})
	})
}

// NeedPepper returns the keys that would be dead without the pepper, all of them.
func (m *Local) NeedPepper(ctx context.Context, id string) ([]*keys.Key, error) {
	all, _, err := m.store.NeedPepper(ctx, id, m.Now(), 0)
	return all, err
}

// FreePepper ends what k needs the pepper for. Where that is the old secret of a
// rotation, the rotation is finished and the key stays; otherwise, or when the key was
// changed outside mcpkeys, it is revoked.
func (m *Local) FreePepper(ctx context.Context, k *keys.Key, id, reason string) (*keys.Key, error) {
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
// current pepper, with a [*store.PepperNeededError] while a key needs it, and with
// ErrNotFound; what was resealed by then stays so.
//
// Backups of the database that were made before need the pepper: keep a backup of its
// file for as long as those are kept.
func (m *Local) RetirePepper(ctx context.Context, id string) (resealed int, err error) {
	if err := m.MayRetirePepper(ctx, id); err != nil {
		return 0, err
	}
	resealed, err = m.store.Reseal(ctx, id, func(r audit.Resealed) (audit.Event, error) {
		return audit.NewEvent(ctx, m.actor, audit.ActionPepperReseal, m.Now(), r)
	})
	if err != nil {
		return resealed, err
	}
	e, err := audit.NewEvent(ctx, m.actor, audit.ActionPepperRetire, m.Now(), audit.PepperDetail{Pepper: id})
	if err != nil {
		return resealed, err
	}
	return resealed, m.store.RemovePepper(ctx, id, m.Now(), e)
}

// MayRetirePepper says why [Local.RetirePepper] would fail, before anything is
// written. Whether it still holds is decided in the transaction that makes the store
// forget the pepper.
func (m *Local) MayRetirePepper(ctx context.Context, id string) error {
	if err := m.store.Peppers().MayRemove(id); err != nil {
		return err
	}
	first, count, err := m.store.NeedPepper(ctx, id, m.Now(), store.FirstNeeding)
	if err != nil || count == 0 {
		return err
	}
	return &store.PepperNeededError{ID: id, Count: count, Keys: first}
}
