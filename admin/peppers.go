package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// PepperUses lists the peppers and what depends on each.
func (m *Local) PepperUses(ctx context.Context) ([]store.PepperUse, error) {
	return m.store.PepperUses(ctx, m.Now())
}

// AddPepper makes a new pepper the current one and returns its id. Keys stay valid: each is
// stored under the new pepper when it is next used or rotated. The pepper file must be backed
// up again.
func (m *Local) AddPepper(ctx context.Context) (id string, err error) {
	return m.store.AddPepper(ctx, func(id string) (audit.Event, error) {
		return audit.NewEvent(ctx, m.actor, audit.ActionPepperAdd, m.Now(), audit.PepperDetail{Pepper: id})
	})
}

// NeedPepper returns all keys that would no longer be valid without the pepper.
func (m *Local) NeedPepper(ctx context.Context, id string) ([]*keys.Key, error) {
	all, _, err := m.store.NeedPepper(ctx, id, m.Now(), 0)
	return all, err
}

// FreePepper ends k's need of the pepper. If that is the old secret of a rotation, the rotation
// is finished and the key stays valid; otherwise, or if the key was changed outside mcpkeys, it
// is revoked.
func (m *Local) FreePepper(ctx context.Context, k *keys.Key, id, reason string) (*keys.Key, error) {
	sound := m.store.Peppers().CheckSeal(k) == nil
	if n := len(k.Secrets); sound && n == 2 && k.Secrets[n-1].PepperID != id {
		issued, err := m.Rotate(ctx, k.ID, RotateRequest{Finish: k.Secrets[0].Number})
		return issued.Key, err
	}
	return m.Revoke(ctx, k.ID, reason)
}

// RetirePepper removes a pepper that no key needs. Keys that were sealed with it, including
// revoked ones, are first sealed with the current one, so that all of them can be read and
// verified afterwards. It returns how many. It fails with ErrConflict for the current pepper,
// with a [*store.PepperNeededError] while a key needs it, and with ErrNotFound; seals that were
// renewed before the error stay.
//
// Earlier backups of the database need the pepper: keep a backup of the pepper file as long as
// you keep them.
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

// MayRetirePepper says why [Local.RetirePepper] would fail, before anything is written. The
// transaction that removes the pepper checks it again.
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
