package admin

import (
	"net/netip"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// inherit fills the members that req leaves out from the caller's limits.
func (d *Restricted) inherit(req *IssueRequest, now time.Time) error {
	if len(req.Audience) == 0 {
		req.Audience = d.caller.Audience()
	}
	if len(req.AllowedIPs) == 0 {
		req.AllowedIPs = d.caller.AllowedIPs()
	}
	if req.Kind == keys.KindAdmin && req.RateLimit.IsZero() {
		req.RateLimit = d.caller.RateLimit()
	}
	if req.Kind == keys.KindAdmin && req.MaxKeyLife == 0 {
		req.MaxKeyLife = min(keys.DefaultMaxKeyLife, d.caller.MaxKeyLife())
	}
	if !req.Expires.IsDefault() {
		e, err := fixed(&req.Expires, now)
		if err == nil {
			req.Expires = *e
		}
		return err
	}
	end := now.Add(min(keys.DefaultLife, d.caller.MaxKeyLife()))
	if req.Kind == keys.KindAdmin {
		end = keys.Earliest(d.caller.ExpiresAt(), now.Add(keys.DefaultLife))
	}
	req.Expires = keys.ExpiresAt(end)
	return nil
}

// encloses refuses a key that exceeds the caller. All limits are checked here: for a key that
// is issued or rotated, and for one before and after an edit. An admin key also has the
// caller's rate limit, or a limited one could lift its own, or issue another one without it.
func (d *Restricted) encloses(k *keys.Key, now time.Time) error {
	c := d.caller
	audience, ips, end, life, rate := c.Audience(), c.AllowedIPs(), c.ExpiresAt(), c.MaxKeyLife(), c.RateLimit()
	admin := k.Kind == keys.KindAdmin
	switch {
	case len(audience) > 0 && !among(k.Audience, audience):
		return denied("the key's audience must be within the admin key's own")
	case len(ips) > 0 && !inside(k.AllowedIPs, ips):
		return denied("the key's addresses must be within the admin key's own")
	case !admin && livesBeyond(k.ExpiresAt, life, now):
		return denied("its max_key_life allows keys that expire within " + keys.FormatKeyLife(life) + "; choose an earlier expiry")
	case admin && !end.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(end)):
		return denied("an admin key must not expire after the one that makes or changes it, which expires at " + end.Format(time.RFC3339))
	case admin && k.KeyLife() > life:
		return denied("its own max_key_life is " + keys.FormatKeyLife(life) + "; it cannot give another admin key a longer one")
	case admin && !k.RateLimit.Within(rate):
		return denied("an admin key must not have a wider rate limit than the one that makes or changes it: " + rate.String())
	}
	return nil
}

// For among and inside an empty list means everywhere.
func among(audience, limits []string) bool {
	return len(audience) > 0 && within(audience, limits, func(a, limit string) bool { return a == limit })
}

func inside(ips, limits []netip.Prefix) bool {
	return len(ips) > 0 && within(ips, limits, insidePrefix)
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

// livesBeyond reports whether a key that expires at end, zero for never, is valid longer than
// life from now on.
func livesBeyond(end time.Time, life time.Duration, now time.Time) bool {
	return life != keys.LifeForEver && (end.IsZero() || end.After(now.Add(life)))
}
