package keys

import (
	"net/netip"
	"slices"
	"time"
)

// confine fills what req leaves open from the caller and refuses what exceeds him.
func (d *Delegate) confine(req *IssueRequest) error {
	if len(req.Audience) == 0 {
		req.Audience = d.caller.Audience()
	}
	if len(req.AllowedIPs) == 0 {
		req.AllowedIPs = d.caller.AllowedIPs()
	}
	if req.Kind == KindAdmin && req.RateLimit.IsZero() {
		req.RateLimit = d.caller.RateLimit()
	}
	if err := d.confineExpiry(req); err != nil {
		return err
	}
	at, err := req.Expires.At(wallClock(d.clock()))
	if err != nil {
		return err
	}
	return d.encloses(&Key{
		Kind: req.Kind, Audience: req.Audience, AllowedIPs: req.AllowedIPs, RateLimit: req.RateLimit, ExpiresAt: at,
	})
}

// confineExpiry fixes the end, because a duration would count from a later moment by the
// time it is applied. One that is left open is the caller's own at the latest.
func (d *Delegate) confineExpiry(req *IssueRequest) error {
	at, err := req.Expires.At(wallClock(d.clock()))
	if err != nil {
		return err
	}
	if req.Expires.IsDefault() {
		at = earliest(at, d.caller.ExpiresAt())
	}
	req.Expires = NeverExpires()
	if !at.IsZero() {
		req.Expires = ExpiresAt(at)
	}
	return nil
}

// encloses refuses a key that exceeds the caller: that serves where he may not, from
// where he may not, or after he has ended. An admin key has the limits of the caller's
// calls too, or a limited one would lift its own, or make another one without. This is
// the list of all limits.
func (d *Delegate) encloses(k *Key) error {
	audience, ips, end, rate := d.caller.Audience(), d.caller.AllowedIPs(), d.caller.ExpiresAt(), d.caller.RateLimit()
	switch {
	case len(audience) > 0 && !among(k.Audience, audience):
		return denied("its keys are confined to its own audience")
	case len(ips) > 0 && !inside(k.AllowedIPs, ips):
		return denied("its keys are confined to its own addresses")
	case !end.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(end)):
		return denied("its keys cannot outlive it: it ends at " + end.Format(time.RFC3339))
	case k.Kind == KindAdmin && !k.RateLimit.Within(rate):
		return denied("an admin key has no wider rate limit than the one that makes or changes it: " + rate.String())
	}
	return nil
}

// among and inside take an empty list for what it means: everywhere.
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
