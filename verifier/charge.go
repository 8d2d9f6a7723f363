package verifier

import (
	"github.com/mcpkeys/mcpkeys/keys"
)

// Charge counts one call within a request that d was decided for, with the same call and
// [Call.Messages], against the key's rate limit as it stands now. What it returns is d,
// with what is left of that limit, or a refusal that says of the caller all that d does.
// Nobody is asked for the token again: whether the key is still good is for
// [Verifier.Hold] and [Verifier.Recheck].
func (v *Verifier) Charge(d keys.Decision, call Call) keys.Decision {
	if !d.Valid() {
		return d
	}
	e, err := v.current(d.KeyID)
	if err != nil {
		failed := unavailable(d.KeyID, err)
		failed.Secret = d.Secret
		return v.denied(failed, &call)
	}
	if e == nil {
		return v.denied(d.Refuse(keys.CodeNotFound), &call)
	}
	d.Limit, d.Remaining, d.Reset = e.key.RateLimit, 0, 0
	if d.Limit.IsZero() {
		return d
	}
	c := v.cell(d.KeyID)
	wait, room := c.bucket.take(d.Limit, max(call.Cost, 1), v.sinceStart())
	d.Remaining, d.Reset = room.left, room.full
	if wait == 0 {
		return d
	}
	d = d.Refuse(keys.CodeRateLimited)
	d.RetryAfter = wait
	c.tally.count(d.Code)
	v.ledger.uses.note(&c.tally)
	return v.denied(d, &call)
}

// Authorize narrows d, which was decided with the same call, to what takes all of scopes:
// [keys.Decision.Authorize], with the question counted in the key's usage and a refusal
// sampled. Every surface that counts refuses for scopes through here.
func (v *Verifier) Authorize(d keys.Decision, call Call, scopes ...string) keys.Decision {
	if !d.Valid() {
		return d
	}
	d = d.Authorize(scopes...)
	v.CountScopes(d, scopes...)
	if !d.Valid() {
		v.NoteDenial(d, call)
	}
	return d
}
