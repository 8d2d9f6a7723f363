package keys

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Delegate is a [Manager] in the hands of an admin key. It lets through what that
// key was granted and no more, so that nobody gains rights by handing out keys:
//
//   - reading needs the scope [ScopeKeysRead], changing [ScopeKeysWrite], having a
//     key checked [ScopeVerify];
//   - acting on an admin key needs all of that key's scopes;
//   - a new key never exceeds the caller's own audience, addresses and expiry. What
//     the request leaves open is inherited from the caller; what it names beyond is
//     refused.
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
		if err := validateScopes(KindAdmin, req.Scopes); err != nil {
			return Issued{}, err // a typing error is not a lack of rights
		}
		if !d.caller.AllowsAll(req.Scopes...) {
			return Issued{}, denied("an admin key cannot issue one with scopes that it lacks")
		}
	}
	if err := d.confine(&req); err != nil {
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

func (d *Delegate) may(scope string) error {
	if d.caller.Kind() != KindAdmin || !d.caller.Allows(scope) {
		return denied("it was not granted " + scope)
	}
	return nil
}

// mayAct reads the target before the change; kind and scopes of a key only ever
// shrink in between, or the key is another one.
func (d *Delegate) mayAct(ctx context.Context, id string) error {
	if err := d.may(ScopeKeysWrite); err != nil {
		return err
	}
	target, err := d.manager.Key(ctx, id)
	if target == nil {
		return err
	}
	if target.Kind == KindAdmin && !d.caller.AllowsAll(target.Scopes...) {
		return denied("acting on an admin key takes all of that key's scopes")
	}
	return nil
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

// confine fills what req leaves open from the caller and refuses what exceeds him.
func (d *Delegate) confine(req *IssueRequest) error {
	audience, ips := d.caller.Audience(), d.caller.AllowedIPs()
	if len(audience) > 0 && len(req.Audience) == 0 {
		req.Audience = audience
	}
	if len(ips) > 0 && len(req.AllowedIPs) == 0 {
		req.AllowedIPs = ips
	}
	if len(audience) > 0 && !within(req.Audience, audience, func(a, limit string) bool { return a == limit }) {
		return denied("its keys are confined to its own audience")
	}
	if len(ips) > 0 && !within(req.AllowedIPs, ips, insidePrefix) {
		return denied("its keys are confined to its own addresses")
	}
	return d.confineExpiry(req)
}

func (d *Delegate) confineExpiry(req *IssueRequest) error {
	limit := d.caller.ExpiresAt()
	if limit.IsZero() {
		return nil
	}
	at, err := req.Expires.At(wallClock(d.clock()))
	switch {
	case err != nil:
		return err
	case !at.IsZero() && !at.After(limit):
		return nil
	case req.Expires.IsDefault():
		req.Expires = ExpiresAt(limit)
		return nil
	}
	return denied("its keys cannot outlive it: it ends at " + limit.Format(time.RFC3339))
}

func within[T any](list, limits []T, fits func(T, T) bool) bool {
	for _, v := range list {
		if !slices.ContainsFunc(limits, func(limit T) bool { return fits(v, limit) }) {
			return false
		}
	}
	return true
}

func insidePrefix(p, limit netip.Prefix) bool {
	return p.Bits() >= limit.Bits() && limit.Contains(p.Addr())
}

func denied(reason string) error { return fmt.Errorf("%w: %s", ErrDenied, reason) }
