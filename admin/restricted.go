package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Restricted is a [Manager] in the hands of an admin key. It lets through what that
// key was granted and no more, so that nobody gains rights by handing out keys:
//
//   - reading needs the scope [keys.ScopeKeysRead], changing [keys.ScopeKeysWrite], having a
//     key checked [keys.ScopeVerify], reading the audit log [keys.ScopeAuditRead];
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
// may issue a key with a scope has that scope. Refusals are [keys.ErrDenied].
type Restricted struct {
	manager Manager
	caller  *keys.Identity
	clock   func() time.Time
}

var _ Manager = (*Restricted)(nil)

// Restrict puts manager into the hands of caller. A nil caller may do nothing.
func Restrict(manager Manager, caller *keys.Identity, o *Options) *Restricted {
	return &Restricted{manager: manager, caller: caller, clock: o.clock()}
}

// Issue implements [Manager].
func (d *Restricted) Issue(ctx context.Context, req IssueRequest) (Issued, error) {
	if err := d.may(keys.ScopeKeysWrite); err != nil {
		return Issued{}, err
	}
	if req.Kind == keys.KindAdmin {
		if len(req.Scopes) == 0 {
			req.Scopes = keys.AdminScopes()
		}
		if err := keys.ValidateScopes(keys.KindAdmin, req.Scopes); err != nil {
			return Issued{}, err // a typing error is not a lack of rights
		}
		if !d.caller.AllowsAll(req.Scopes...) {
			return Issued{}, denied("an admin key cannot issue one with scopes that it lacks")
		}
	}
	now := keys.StoredTime(d.clock())
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
func (d *Restricted) Key(ctx context.Context, id string) (*keys.Key, error) {
	if err := d.may(keys.ScopeKeysRead); err != nil {
		return nil, err
	}
	return d.manager.Key(ctx, id)
}

// List implements [Manager].
func (d *Restricted) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	if err := d.may(keys.ScopeKeysRead); err != nil {
		return keys.Page{}, err
	}
	return d.manager.List(ctx, q)
}

// Usage implements [Manager].
func (d *Restricted) Usage(ctx context.Context, id string, since time.Time) (keys.Usage, error) {
	if err := d.may(keys.ScopeKeysRead); err != nil {
		return keys.Usage{}, err
	}
	return d.manager.Usage(ctx, id, since)
}

// Revoke implements [Manager].
func (d *Restricted) Revoke(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Revoke(ctx, id, reason)
}

// Disable implements [Manager].
func (d *Restricted) Disable(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Disable(ctx, id, reason)
}

// Enable implements [Manager].
func (d *Restricted) Enable(ctx context.Context, id string) (*keys.Key, error) {
	if err := d.mayAct(ctx, id); err != nil {
		return nil, err
	}
	return d.manager.Enable(ctx, id)
}

// Rotate implements [Manager]. Whoever gets a secret that works can do all that its
// key may, so the key must lie within the caller's own bounds. To finish a rotation
// hands out nothing.
func (d *Restricted) Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error) {
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
	now := keys.StoredTime(d.clock())
	if req.Expires, err = fixed(req.Expires, now); err != nil {
		return Issued{}, err
	}
	after := *target
	if req.Expires != nil {
		if err := moveExpiry(&after, *req.Expires, now); err != nil {
			return Issued{}, err
		}
	}
	for _, k := range []*keys.Key{target, &after} {
		if err := d.encloses(k, now); err != nil {
			return Issued{}, err
		}
	}
	return d.manager.Rotate(ctx, id, req)
}

// fixed is e as an instant or never: a duration would count from another moment by the
// time it is applied.
func fixed(e *keys.Expiry, now time.Time) (*keys.Expiry, error) {
	if e == nil {
		return nil, nil
	}
	at, err := e.At(now)
	if err != nil {
		return nil, err
	}
	out := keys.NeverExpires()
	if !at.IsZero() {
		out = keys.ExpiresAt(at)
	}
	return &out, nil
}

// editTries is how often an edit that cares for no version is judged anew, because
// the key was changed between the look and the edit.
const editTries = 3

// Edit implements [Manager]. The key must lie within the caller's own bounds before
// the edit and after it, and the edit takes place on the very version that was judged:
// or a key that another moves out of the caller's reach would be edited there.
func (d *Restricted) Edit(ctx context.Context, id string, req EditRequest) (*keys.Key, error) {
	for tries := 1; ; tries++ {
		k, err := d.edit(ctx, id, req)
		if req.IfVersion != 0 || tries == editTries || !errors.Is(err, keys.ErrVersion) {
			return k, err
		}
	}
}

func (d *Restricted) edit(ctx context.Context, id string, req EditRequest) (*keys.Key, error) {
	target, err := d.target(ctx, id)
	if err != nil {
		return nil, err
	}
	now := keys.StoredTime(d.clock())
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
	if after.Kind == keys.KindAdmin && !d.caller.AllowsAll(after.Scopes...) {
		return nil, denied("an admin key cannot grant scopes that it lacks")
	}
	if err := d.encloses(&after, now); err != nil {
		return nil, err
	}
	return d.manager.Edit(ctx, id, req)
}

func (d *Restricted) may(scope string) error {
	if d.caller.Kind() != keys.KindAdmin || !d.caller.Allows(scope) {
		return denied("it was not granted " + scope)
	}
	return nil
}

// mayAct reads the target before the change. What it gains in between, it would have
// gained from another's change right after this one, too.
func (d *Restricted) mayAct(ctx context.Context, id string) error {
	_, err := d.target(ctx, id)
	if errors.Is(err, keys.ErrTampered) {
		return nil // the manager decides what may be done with it
	}
	return err
}

// target returns the key that the caller means to act on, if he may act on it at all.
// A key that was changed outside mcpkeys is returned together with [keys.ErrTampered].
func (d *Restricted) target(ctx context.Context, id string) (*keys.Key, error) {
	if err := d.may(keys.ScopeKeysWrite); err != nil {
		return nil, err
	}
	target, err := d.manager.Key(ctx, id)
	if target == nil {
		return nil, err
	}
	if target.Kind == keys.KindAdmin && !d.caller.AllowsAll(target.Scopes...) {
		return nil, denied("acting on an admin key takes all of that key's scopes")
	}
	return target, err
}

// Audience settles for which server this caller may have a key checked: the one that
// it names, within its own audience. A caller confined to one server need not name
// it; one confined to several must. Refusals are [keys.ErrDenied].
func (d *Restricted) Audience(named string) (string, error) {
	if err := d.may(keys.ScopeVerify); err != nil {
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

func denied(reason string) error { return fmt.Errorf("%w: %s", keys.ErrDenied, reason) }
