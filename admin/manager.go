package admin

import (
	"context"
	"errors"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// Manager is what one may do with keys as an administrator. [NewLocal] is the one
// beside the store; the client of the admin API is another, so that a command or a
// screen need not know where the keys are.
type Manager interface {
	// Issue makes a new key. Its secret is in the result, and nowhere else, ever.
	Issue(ctx context.Context, req IssueRequest) (Issued, error)
	// Key returns the key with the exact id, or ErrNotFound. For what people type
	// there is [Resolve].
	Key(ctx context.Context, id string) (*keys.Key, error)
	// List returns a page of keys, newest first. Page.Tampered names those that must
	// not be believed: they stay in the list, so that they can be found and revoked.
	List(ctx context.Context, q keys.Query) (keys.Page, error)
	// Usage returns what is known of the use of the key with the exact id, counts from
	// the hour of since on. It fails with ErrNotFound when there is no such key, and
	// with ErrUnavailable when what was counted cannot be read.
	Usage(ctx context.Context, id string, since time.Time) (keys.Usage, error)
	// Audit returns a page of the audit log, newest first unless the query says
	// otherwise.
	Audit(ctx context.Context, q audit.Query) (audit.Page, error)
	// Denials returns what was refused lately, newest first: a sample, and no part of the
	// audit log. It fails with ErrUnavailable when that cannot be read.
	Denials(ctx context.Context, q store.DenialQuery) ([]keys.Denial, error)
	// Revoke ends a key for good. To revoke a revoked key changes nothing and
	// succeeds, the first reason stands.
	Revoke(ctx context.Context, id, reason string) (*keys.Key, error)

	// The verbs below leave a key that was changed outside mcpkeys alone (ErrTampered),
	// and fail with ErrConflict for a revoked one.

	// Rotate gives a key a new secret and keeps all else of it, but for the expiry if the
	// request names one. The old secret stays good for a grace, never past the key's own
	// expiry. At most two are valid: to rotate again during the grace is a
	// [*RotationError], which tells the two ways on, Finish and Replace. Each ends the
	// secret that it names and no other. Disabled and expired keys do not rotate. The new
	// secret is in the result and nowhere else; with Finish there is none.
	Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error)
	// Disable has every use of a key refused until Enable. The reason goes to the
	// audit log. To disable a disabled key changes nothing and succeeds, and so does
	// to enable an enabled one.
	Disable(ctx context.Context, id, reason string) (*keys.Key, error)
	Enable(ctx context.Context, id string) (*keys.Key, error)
	// Edit changes what the request names. It fails with ErrVersion when the key is
	// not at the version that the request was made for, and with ErrNameTaken. An
	// expired key gets no new expiry.
	Edit(ctx context.Context, id string, req EditRequest) (*keys.Key, error)
}

// Options configures [NewLocal] and [Restrict]. Nil and the zero value are ready for use.
type Options struct {
	Now func() time.Time // nil means time.Now
}

// clock is safe on nil options.
func (o *Options) clock() func() time.Time {
	if o == nil || o.Now == nil {
		return time.Now //nolint:forbidigo // the default clock
	}
	return o.Now
}

// Local acts on a store in the name of one actor. It is safe for concurrent
// use.
type Local struct {
	store store.Store
	actor audit.Actor
	clock func() time.Time
}

var _ Manager = (*Local)(nil)

// NewLocal returns the Manager beside store, acting in the name of actor, which
// must be valid free text and not empty.
func NewLocal(store store.Store, actor audit.Actor, o *Options) (*Local, error) {
	if err := actor.Validate(); err != nil {
		return nil, err
	}
	return &Local{store: store, actor: actor, clock: o.clock()}, nil
}

// Record writes an audit row in the name of the manager's actor about something that
// was done to the store itself. See [audit.NewEvent].
func (m *Local) Record(ctx context.Context, action audit.Action, detail any) error {
	e, err := audit.NewEvent(ctx, m.actor, action, m.Now(), detail)
	if err != nil {
		return err
	}
	return m.store.Record(ctx, e)
}

// Store is what the manager acts on, for packages that administer more of it.
func (m *Local) Store() store.Store { return m.store }

// Actor is in whose name the manager acts.
func (m *Local) Actor() audit.Actor { return m.actor }

// Now is the time by the manager's clock, as stores keep it.
func (m *Local) Now() time.Time { return keys.StoredTime(m.clock()) }

// Key implements [Manager]. A key whose seal is broken is returned together with
// [keys.ErrTampered]: there is something to look at, and nothing to trust.
func (m *Local) Key(ctx context.Context, id string) (*keys.Key, error) {
	k, err := m.store.Key(ctx, id)
	if err != nil {
		return k, err
	}
	return k, m.store.Peppers().CheckSeal(k)
}

// List implements [Manager]. Conditions are compared with what the rows say, also
// with those that were tampered with.
func (m *Local) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	q.Now = m.Now()
	switch {
	case q.Limit <= 0:
		q.Limit = keys.DefaultLimit
	case q.Limit > keys.MaxLimit:
		q.Limit = keys.MaxLimit
	}
	page, err := m.store.List(ctx, q)
	peppers := m.store.Peppers()
	for _, k := range page.Keys {
		if peppers.CheckSeal(k) != nil {
			page.Tampered = append(page.Tampered, k.ID)
		}
	}
	return page, err
}

// Usage implements [Manager], also for a key whose seal is broken: who used it is then
// all the more of interest.
func (m *Local) Usage(ctx context.Context, id string, since time.Time) (keys.Usage, error) {
	if _, err := m.store.Key(ctx, id); err != nil && !errors.Is(err, keys.ErrTampered) {
		return keys.Usage{}, err
	}
	return m.store.Usage(ctx, id, since)
}

// change is what all changes of a living key have in common: a row whose seal is
// broken is not built upon, a revoked key stays what it is, and the audit row tells
// both states. Reason is the audit row's alone.
func (m *Local) change(ctx context.Context, id string, action audit.Action, reason string, edit func(k *keys.Key, now time.Time) error) (*keys.Key, error) {
	return m.store.Update(ctx, id, func(k *keys.Key) (audit.Event, error) {
		if err := checkVersion(ctx, k); err != nil {
			return audit.Event{}, err
		}
		peppers := m.store.Peppers()
		if err := peppers.CheckSeal(k); err != nil {
			return audit.Event{}, err
		}
		if !k.RevokedAt.IsZero() {
			return audit.Event{}, keys.Conflict("the key is revoked, which is final; issue a new key")
		}
		now := m.Now()
		before := audit.StateOf(k, now)
		if err := edit(k, now); err != nil {
			return audit.Event{}, err
		}
		k.Version++
		peppers.Seal(k)
		after := audit.StateOf(k, now)
		after.Reason = reason
		return m.event(ctx, action, id, now, before, after)
	})
}

// event starts the audit row of one change.
func (m *Local) event(ctx context.Context, action audit.Action, keyID string, now time.Time, before, after *audit.KeyState) (audit.Event, error) {
	return audit.NewChange(ctx, m.actor, action, keyID, now, before, after)
}
