package verifier

import (
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// unavailableRetry is how long a client should wait after the source failed.
const unavailableRetry = time.Second

func notFound(id string) keys.Decision { return keys.Decision{Code: keys.CodeNotFound, KeyID: id} }

func unavailable(id string, err error) keys.Decision {
	return keys.Decision{Code: keys.CodeUnavailable, KeyID: id, RetryAfter: unavailableRetry, Cause: err}
}

// decide judges a key that was proved to be the caller's.
func (v *Verifier) decide(d *keys.Decision, c *check, call *Call) {
	t := &c.proof.terms
	d.KeyID, d.Secret = c.entry.known.ID, t.secret
	d.Code = t.admit(c.now, call)
	if d.Code != keys.CodeValid {
		if d.Code == keys.CodeWrongAudience {
			d.Lacks = &keys.Lack{Audience: strings.Clone(call.Audience), Offered: slices.Clone(c.entry.policy.audience)}
		}
		return
	}
	if c.entry.identity == nil {
		*d = unavailable(d.KeyID, c.entry.policy.flaw)
		return
	}
	if c.entry.policy.limit.all != 0 && !c.spend(d, call) {
		return
	}
	d.Identity, d.Ends, d.Newer = c.entry.identity, t.ends, t.newer
	c.proof.slot.use(c.now, call)
}

// spend counts the call against the key's limit and reports whether it fits.
func (c *check) spend(d *keys.Decision, call *Call) bool {
	l, of, cost := &c.entry.policy.limit, &c.cell.bucket, max(call.Cost, 1)
	if call.Messages {
		l, of, cost = &c.entry.policy.requests, &c.cell.requests, 1
	}
	wait, room := of.spend(l, cost, c.at)
	d.Limit, d.Remaining, d.Reset = l.RateLimit, room.left, room.full
	if wait > 0 {
		d.Code, d.RetryAfter = keys.CodeRateLimited, wait
	}
	return wait == 0
}

// Charge counts one call of a request that d was decided for, with the same call and
// [Call.Messages], against the key's present rate limit. It returns d with the rest of that
// limit, or a refusal with d's facts about the caller. It does not check the token again:
// use [Verifier.Hold] or [Verifier.Recheck] for that.
func (v *Verifier) Charge(d keys.Decision, call Call) keys.Decision {
	if !d.Valid() {
		return d
	}
	e, err := v.lookAgain(d.KeyID)
	if err != nil {
		failed := unavailable(d.KeyID, err)
		failed.Secret = d.Secret
		return v.ledger.denied(failed, &call)
	}
	if e == nil {
		return v.ledger.denied(d.Refuse(keys.CodeNotFound), &call)
	}
	d.Limit, d.Remaining, d.Reset = e.policy.limit.RateLimit, 0, 0
	if d.Limit.IsZero() {
		return d
	}
	c := v.cache.cell(d.KeyID)
	wait, room := c.bucket.spend(&e.policy.limit, max(call.Cost, 1), v.clock.elapsed())
	d.Remaining, d.Reset = room.left, room.full
	if wait == 0 {
		return d
	}
	d = d.Refuse(keys.CodeRateLimited)
	d.RetryAfter = wait
	v.ledger.used(c, d.Code)
	return v.ledger.denied(d, &call)
}

// Authorize is [keys.Decision.Authorize] for d, which was decided with the same call. It also
// counts the scopes in the key's usage, and samples a refusal. Every guard that counts checks
// scopes with it.
func (v *Verifier) Authorize(d keys.Decision, call Call, scopes ...string) keys.Decision {
	if !d.Valid() {
		return d
	}
	granted := d.Identity.AllowsAll(scopes...)
	if !granted {
		d = d.Authorize(scopes...)
	}
	v.countScopes(d.KeyID, d.Code, scopes)
	if !granted {
		v.NoteDenial(d, call)
	}
	return d
}
