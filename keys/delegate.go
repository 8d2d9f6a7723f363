package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Delegate is a [Manager] in the hands of an admin key. It lets through what that
// key was granted and no more, so that nobody gains rights by handing out keys:
//
//   - reading needs the scope [ScopeKeysRead], changing [ScopeKeysWrite], having a
//     key checked [ScopeVerify], reading the audit log [ScopeAuditRead];
//   - acting on an admin key needs all of that key's scopes;
//   - a new key never exceeds the caller's own audience and addresses, and a new admin key
//     its rate limit neither. What the request leaves open is inherited from the caller;
//     what it names beyond is refused;
//   - an ordinary key lives no longer than the caller's max_key_life from now on, whenever
//     the caller itself ends. An admin key ends no later than the caller, and has no longer
//     max_key_life;
//   - a key that is rotated lies within the same bounds, because its new secret works,
//     and so does one that is edited, before and after. So no admin key lifts its own
//     limits.
//
// keys:write over ordinary keys still means to be able to act as any of them: who
// may issue a key with a scope has that scope. Refusals are [ErrDenied].
type Delegate struct {
	manager Manager
	caller  *Identity
	clock   func() time.Time
}

var _ Manager = (*Delegate)(nil)

// NewDelegate puts manager into the hands of caller. A nil caller may do nothing.
func NewDelegate(manager Manager, caller *Identity, o *ManagerOptions) *Delegate {
	return &Delegate{manager: manager, caller: caller, clock: o.clock()}
}

// Issue implements [Manager].
func (d *Delegate) Issue(ctx context.Context, req IssueRequest) (Issued, error) {
	if err := d.may(ScopeKeysWrite); err != nil {
		return Issued{}, err
	}
	if req.Kind == KindAdmin {
		if len(req.Scopes) == 0 {
			req.Scopes = AdminScopes()
		}
		if err := ValidateScopes(KindAdmin, req.Scopes); err != nil {
			return Issued{}, err // a typing error is not a lack of rights
		}
		if !d.caller.AllowsAll(req.Scopes...) {
			return Issued{}, denied("an admin key cannot issue one with scopes that it lacks")
		}
	}
	now := StoredTime(d.clock())
	if err := d.inherit(&req, now); err != nil {
		return Issued{}, err
	}
	k, err := req.NewKey(now, "")
	if err != nil {
		return Issued{}, err
	}
	if err := d.encloses(k, now); err != nil {
		return Issued{}, err
	}
	return d.manager.Issue(ctx, req)
}

// Key implements [Manager].
func (d *Delegate) Key(ctx context.Context, id string) (*Key, error) {
	if err := d.may(ScopeKeysRead); err != nil {
		return nil, err
	}
	return d.manager.Key(ctx, id)
}

// List implements [Manager].
func (d *Delegate) List(ctx context.Context, q Query) (Page, error) {
	if err := d.may(ScopeKeysRead); err != nil {
		return Page{}, err
	}
	return d.manager.List(ctx, q)
}

// Usage implements [Manager].
func (d *Delegate) Usage(ctx context.Context, id string, since time.Time) (Usage, error) {
	if err := d.may(ScopeKeysRead); err != nil {
		return Usage{}, err
	}
	return d.manager.Usage(ctx, id, since)
}

// Revoke implements [Manager].
func (d *Delegate) Revoke(ctx context.Context, id, reason string) (*Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Revoke(ctx, id, reason)
}

// Disable implements [Manager].
func (d *Delegate) Disable(ctx context.Context, id, reason string) (*Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Disable(ctx, id, reason)
}

// Enable implements [Manager].
func (d *Delegate) Enable(ctx context.Context, id string) (*Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Enable(ctx, id)
}

// Rotate implements [Manager]. Whoever gets a secret that works can do all that its
// key may, so the key must lie within the caller's own bounds. To finish a rotation
// hands out nothing.
func (d *Delegate) Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error) {
	target, err := d.target(ctx, id)
	if err != nil {
		return Issued{}, err
	}
	if err := req.Validate(); err != nil {
		return Issued{}, err
	}
	if req.Finish != 0 {
		return d.manager.Rotate(ctx, id, req)
	}
	now := StoredTime(d.clock())
	if req.Expires, err = fixed(req.Expires, now); err != nil {
		return Issued{}, err
	}
	after := *target
	if req.Expires != nil {
		if err := moveExpiry(&after, *req.Expires, now); err != nil {
			return Issued{}, err
		}
	}
	for _, k := range []*Key{target, &after} {
		if err := d.encloses(k, now); err != nil {
			return Issued{}, err
		}
	}
	return d.manager.Rotate(ctx, id, req)
}

// fixed is e as an instant or never: a duration would count from another moment by the
// time it is applied.
func fixed(e *Expiry, now time.Time) (*Expiry, error) {
	if e == nil {
		return nil, nil
	}
	at, err := e.At(now)
	if err != nil {
		return nil, err
	}
	out := NeverExpires()
	if !at.IsZero() {
		out = ExpiresAt(at)
	}
	return &out, nil
}

// editTries is how often an edit that cares for no version is judged anew, because
// the key was changed between the look and the edit.
const editTries = 3

// Edit implements [Manager]. The key must lie within the caller's own bounds before
// the edit and after it, and the edit takes place on the very version that was judged:
// or a key that another moves out of the caller's reach would be edited there.
func (d *Delegate) Edit(ctx context.Context, id string, req EditRequest) (*Key, error) {
	for tries := 1; ; tries++ {
		k, err := d.edit(ctx, id, req)
		if req.IfVersion != 0 || tries == editTries || !errors.Is(err, ErrVersion) {
			return k, err
		}
	}
}

func (d *Delegate) edit(ctx context.Context, id string, req EditRequest) (*Key, error) {
	target, err := d.target(ctx, id)
	if err != nil {
		return nil, err
	}
	now := StoredTime(d.clock())
	if err := d.encloses(target, now); err != nil {
		return nil, err
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if req.Expires, err = fixed(req.Expires, now); err != nil {
		return nil, err
	}
	if req.IfVersion == 0 {
		req.IfVersion = target.Version
	}
	after := *target
	if err := req.apply(&after, now); err != nil {
		return nil, err
	}
	if after.Kind == KindAdmin && !d.caller.AllowsAll(after.Scopes...) {
		return nil, denied("an admin key cannot grant scopes that it lacks")
	}
	if err := d.encloses(&after, now); err != nil {
		return nil, err
	}
	return d.manager.Edit(ctx, id, req)
}

func (d *Delegate) may(scope string) error {
	if d.caller.Kind() != KindAdmin || !d.caller.Allows(scope) {
		return denied("it was not granted " + scope)
	}
	return nil
}

// mayAct reads the target before the change. What it gains in between, it would have
// gained from another's change right after this one, too.
func (d *Delegate) mayAct(ctx context.Context, id string) error {
	_, err := d.target(ctx, id)
	if errors.Is(err, ErrTampered) {
		return nil // the manager decides what may be done with it
	}
	return err
}

// target returns the key that the caller means to act on, if he may act on it at all.
// A key that was changed outside mcpkeys is returned together with [ErrTampered].
func (d *Delegate) target(ctx context.Context, id string) (*Key, error) {
	if err := d.may(ScopeKeysWrite); err != nil {
		return nil, err
	}
	target, err := d.manager.Key(ctx, id)
	if target == nil {
		return nil, err
	}
	if target.Kind == KindAdmin && !d.caller.AllowsAll(target.Scopes...) {
		return nil, denied("acting on an admin key takes all of that key's scopes")
	}
	return target, err
}

// Audience settles for which server this caller may have a key checked: the one that
// it names, within its own audience. A caller confined to one server need not name
// it; one confined to several must. Refusals are [ErrDenied].
func (d *Delegate) Audience(named string) (string, error) {
	if err := d.may(ScopeVerify); err != nil {
		return "", err
	}
	own := d.caller.Audience()
	switch {
	case len(own) == 0, slices.Contains(own, named):
		return named, nil
	case named == "" && len(own) == 1:
		return own[0], nil
	}
	return "", denied("it may have keys checked for its own audience only; name one of that")
}

func denied(reason string) error { return fmt.Errorf("%w: %s", ErrDenied, reason) }
