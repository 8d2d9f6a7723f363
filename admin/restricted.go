package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// Restricted is a [Manager] limited to what an admin key was granted, so that an admin key
// cannot gain rights by issuing keys:
//
//   - reading needs the scope [keys.ScopeKeysRead], changing [keys.ScopeKeysWrite],
//     verifying a key [keys.ScopeVerify], reading the audit log [keys.ScopeAuditRead];
//   - acting on an admin key needs all of that key's scopes;
//   - a new key must be within the caller's own audience and addresses, and a new admin key
//     also within its rate limit. Fields that are left out are inherited from the caller;
//     values beyond its limits are refused;
//   - an ordinary key is valid no longer than the caller's max_key_life from now, whenever the
//     caller itself expires. An admin key expires no later than the caller, and its
//     max_key_life is not longer;
//   - a rotated key must be within the same limits, because its new secret is usable, and so
//     must an edited key, before and after. So no admin key can lift its own limits.
//
// keys:write over ordinary keys still allows the caller to act as any of them: to issue a key
// with a scope is to have that scope. Refusals are [keys.ErrDenied].
type Restricted struct {
	manager Manager
	caller  *keys.Identity
	clock   func() time.Time
}

var _ Manager = (*Restricted)(nil)

// Restrict limits manager to what caller may do. A nil caller may do nothing.
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
			return Issued{}, err // an invalid request is not a lack of rights
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
func (d *Restricted) Usage(ctx context.Context, id string, since time.Time) (usage.Usage, error) {
	if err := d.may(keys.ScopeKeysRead); err != nil {
		return usage.Usage{}, err
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

// Rotate implements [Manager]. A new secret can do all that its key may, so the key must be
// within the caller's limits. Finishing a rotation gives out no secret.
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

// fixed is e as a time or never: a duration would count from another time when it is applied.
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

// editTries is how often an edit without a version is checked again because the key was changed
// between the check and the edit.
const editTries = 3

// Edit implements [Manager]. The key must be within the caller's limits before and after the
// edit, and the edit is made to exactly the version that was checked: otherwise a key that is
// moved out of the caller's limits at that moment would be edited there.
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

// mayAct reads the target before the change. Scopes that the target gets in between could also
// have been granted right after this change.
func (d *Restricted) mayAct(ctx context.Context, id string) error {
	_, err := d.target(ctx, id)
	if errors.Is(err, keys.ErrTampered) {
		return nil // the manager decides about a tampered key
	}
	return err
}

// target returns the key to act on if the caller may act on it. A key that was changed outside
// mcpkeys is returned together with [keys.ErrTampered].
func (d *Restricted) target(ctx context.Context, id string) (*keys.Key, error) {
	if err := d.may(keys.ScopeKeysWrite); err != nil {
		return nil, err
	}
	target, err := d.manager.Key(ctx, id)
	if target == nil {
		return nil, err
	}
	if target.Kind == keys.KindAdmin && !d.caller.AllowsAll(target.Scopes...) {
		return nil, denied("to act on an admin key, it needs all of that key's scopes")
	}
	return target, err
}

// Audience decides for which server this caller verifies a key: the named one, which must be
// within its own audience. A caller with a single server need not name it; one with several
// must. Refusals are [keys.ErrDenied].
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
	return "", denied("it may verify keys only for the servers in its own audience; name one of them")
}

func denied(reason string) error { return fmt.Errorf("%w: %s", keys.ErrDenied, reason) }
