package admin

import (
	"context"
	"errors"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Manager administers keys. [NewLocal] returns the one beside the store; the client of the
// admin API is another, so that a command or a screen works with both.
type Manager interface {
	// Issue makes a new key. Its secret is only in the result, and is not stored.
	Issue(ctx context.Context, req IssueRequest) (Issued, error)
	// Key returns the key with exactly this id, or ErrNotFound. For text that a user typed,
	// call [Resolve].
	Key(ctx context.Context, id string) (*keys.Key, error)
	// List returns a page of keys, newest first. Page.Tampered names the keys that must not be
	// trusted: they stay in the list, so that they can be found and revoked.
	List(ctx context.Context, q keys.Query) (keys.Page, error)
	// Usage returns the recorded use of the key with exactly this id, with counts from the hour
	// of since. It fails with ErrNotFound if there is no such key, and with ErrUnavailable if
	// the use cannot be read.
	Usage(ctx context.Context, id string, since time.Time) (usage.Usage, error)
	// Audit returns a page of the audit log, newest first unless the query says
	// otherwise.
	Audit(ctx context.Context, q audit.Query) (audit.Page, error)
	// Denials returns recently refused requests, newest first: a sample, not part of the audit
	// log. It fails with ErrUnavailable if they cannot be read.
	Denials(ctx context.Context, q store.DenialQuery) ([]usage.Denial, error)
	// Revoke ends a key permanently. Revoking a revoked key changes nothing and succeeds; the
	// first reason stays.
	Revoke(ctx context.Context, id, reason string) (*keys.Key, error)

	// The methods below refuse a key that was changed outside mcpkeys (ErrTampered), and fail
	// with ErrConflict for a revoked one.

	// Rotate gives a key a new secret and changes nothing else, except the expiry if the
	// request gives one. The old secret stays valid for a grace, but not after the key expires.
	// At most two are valid: rotating again during the grace is a [*RotationError], which has
	// the numbers for Finish and Replace. Each ends the secret that it names and no other.
	// Disabled and expired keys cannot be rotated. The new secret is only in the result; with
	// Finish there is none.
	Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error)
	// Disable makes guards refuse a key until Enable. The reason goes to the audit log.
	// Disabling a disabled key changes nothing and succeeds, and so does enabling an enabled
	// one.
	Disable(ctx context.Context, id, reason string) (*keys.Key, error)
	Enable(ctx context.Context, id string) (*keys.Key, error)
	// Edit changes the fields of the request. It fails with ErrVersion if the key is not at the
	// version that the request was made for, and with ErrNameTaken. An expired key gets no new
	// expiry.
	Edit(ctx context.Context, id string, req EditRequest) (*keys.Key, error)
}

// Options configures [NewLocal] and [Restrict]. Nil and the zero value are valid.
type Options struct {
	Now func() time.Time // nil means time.Now
}

// clock works on nil options.
func (o *Options) clock() func() time.Time {
	if o == nil || o.Now == nil {
		return time.Now //nolint:forbidigo // the default clock
	}
	return o.Now
}

// Local changes a store for one actor. It is safe for concurrent use.
type Local struct {
	store store.Store
	actor audit.Actor
	clock func() time.Time
}

var _ Manager = (*Local)(nil)

// NewLocal returns the Manager beside store that acts as actor, which must be valid free text
// and not empty.
func NewLocal(store store.Store, actor audit.Actor, o *Options) (*Local, error) {
	if err := actor.Validate(); err != nil {
		return nil, err
	}
	return &Local{store: store, actor: actor, clock: o.clock()}, nil
}

// Record writes an audit row of the manager's actor about something that was done to the store
// itself. See [audit.NewEvent].
func (m *Local) Record(ctx context.Context, action audit.Action, detail any) error {
	e, err := audit.NewEvent(ctx, m.actor, action, m.Now(), detail)
	if err != nil {
		return err
	}
	return m.store.Record(ctx, e)
}

// Store is the manager's store, for packages that administer more of it.
func (m *Local) Store() store.Store { return m.store }

// Actor is the actor of the manager's audit rows.
func (m *Local) Actor() audit.Actor { return m.actor }

// Now is the time by the manager's clock, as stores keep it.
func (m *Local) Now() time.Time { return keys.StoredTime(m.clock()) }

// Key implements [Manager]. A key whose seal is broken is returned together with
// [keys.ErrTampered]: it can be shown but must not be trusted.
func (m *Local) Key(ctx context.Context, id string) (*keys.Key, error) {
	k, err := m.store.Key(ctx, id)
	if err != nil {
		return k, err
	}
	return k, m.store.Peppers().CheckSeal(k)
}

// List implements [Manager]. It also searches keys whose seal is broken, by the fields as
// they are stored.
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

// Usage implements [Manager], also for a key whose seal is broken: its use is then of special
// interest.
func (m *Local) Usage(ctx context.Context, id string, since time.Time) (usage.Usage, error) {
	if _, err := m.store.Key(ctx, id); err != nil && !errors.Is(err, keys.ErrTampered) {
		return usage.Usage{}, err
	}
	return m.store.Usage(ctx, id, since)
}

// change is the common part of all changes of a key that is not revoked: it refuses a row whose
// seal is broken and a revoked key, and writes both states to the audit row. Only the audit row
// has the reason.
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
