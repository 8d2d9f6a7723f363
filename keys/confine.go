package keys

import (
	"net/netip"
	"slices"
	"time"
)

// confine fills what req leaves open from the caller and refuses what exceeds him.
func (d *Delegate) confine(req *IssueRequest) error {
	audience, ips := d.caller.Audience(), d.caller.AllowedIPs()
	if len(audience) > 0 && len(req.Audience) == 0 {
		req.Audience = audience
	}
	if len(ips) > 0 && len(req.AllowedIPs) == 0 {
		req.AllowedIPs = ips
	}
	if len(audience) > 0 && !among(req.Audience, audience) {
		return denied("its keys are confined to its own audience")
	}
	if len(ips) > 0 && !inside(req.AllowedIPs, ips) {
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

// encloses refuses a key that exceeds the caller: that serves where he may not, from
// where he may not, or after he has ended.
func (d *Delegate) encloses(k *Key) error {
	audience, ips, end := d.caller.Audience(), d.caller.AllowedIPs(), d.caller.ExpiresAt()
	switch {
	case len(audience) > 0 && !among(k.Audience, audience):
		return denied("its keys are confined to its own audience")
	case len(ips) > 0 && !inside(k.AllowedIPs, ips):
		return denied("its keys are confined to its own addresses")
	case !end.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(end)):
		return denied("its keys cannot outlive it: it ends at " + end.Format(time.RFC3339))
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
