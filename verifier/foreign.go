package verifier

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// defaultSlowStrangers is how often one address may have a slow hash computed that then
// does not fit: one such costs a hundred thousand times what an unknown key costs.
func defaultSlowStrangers() keys.RateLimit {
	return keys.RateLimit{Count: 30, Window: time.Minute, Burst: 10}
}

// foreigners are the tokens that are not of our shape: those of imported keys, and
// junk. As long as the feed says that nothing is imported they are refused unread.
type foreigners struct {
	exist  atomic.Bool
	owners *otter.Cache[[sha256.Size]byte, owner] // whose a token was, by its SHA-256; a hint, proved anew
	slow   *slowHashes
	failed strangers // limits slow hashes that did not fit
}

// owner is whose a token was, when so many times had been forgotten. Any change since may
// have revoked another key that has the same token, so it is looked for anew.
type owner struct {
	id         string
	generation uint64
}

func newForeigners(size int) (*foreigners, error) {
	owners, err := otter.New(&otter.Options[[sha256.Size]byte, owner]{MaximumSize: size, Executor: atOnce})
	if err != nil {
		return nil, err
	}
	slow, err := newSlowHashes(size)
	if err != nil {
		return nil, err
	}
	failed, err := newStrangers(defaultSlowStrangers())
	return &foreigners{owners: owners, slow: slow, failed: failed}, err
}

// foreign decides on a token that is not of our shape. What is told of it is what is
// told of any other, and when it is remembered it costs about as much. Nothing of it
// stands in the decision: it names no key.
func (v *Verifier) foreign(ctx context.Context, token string, call *Call) (d keys.Decision) {
	if !keys.IsForeignToken(token) {
		return v.malformed(call)
	}
	now := v.clock()
	at := now.Sub(v.start)
	if err := v.watch.fresh(ctx, at); err != nil {
		return v.denied(unavailable("", err), call)
	}
	if !v.foreigners.exist.Load() {
		return v.malformed(call)
	}
	q := check{token: token, sum: sumOf(token)}
	if o, ok := v.foreigners.owners.GetIfPresent(q.sum); ok {
		q.id = o.id
		if o.generation == v.forgotten.Load() {
			q.cell, _ = v.cells.GetIfPresent(o.id)
		}
	}
	if !q.remembered() {
		if d := v.proveForeign(ctx, &q, call, at); d.Code != "" {
			return v.denied(d, call)
		}
	}
	v.conclude(&d, &q, call, now, at)
	return d
}

// proveForeign finds out whose the token is. What may be nobody's is looked for on the
// account of where the call comes from, like an unknown id.
func (v *Verifier) proveForeign(ctx context.Context, q *check, call *Call, at time.Duration) keys.Decision {
	mark := v.unknown.mark(q.token)
	generation := v.forgotten.Load()
	if v.unknown.has(mark, generation) {
		return notFound("")
	}
	account := v.strangers.account(call)
	if wait := account.wait(v.strangers.limit, at); wait > 0 && q.id == "" {
		return keys.Decision{Code: keys.CodeRateLimited, RetryAfter: wait}
	}
	candidates, err := v.candidates(ctx, q.token)
	if err != nil {
		return unavailable("", err)
	}
	if v.provedFast(q, candidates, generation) {
		return keys.Decision{}
	}
	switch proved, d := v.provedSlow(ctx, q, candidates, call, at, generation); {
	case proved:
		return keys.Decision{}
	case d.Code != "":
		return d
	}
	account.take(v.strangers.limit, 1, at)
	if d, found := v.supersededForeign(ctx, q.token); found {
		return d
	}
	v.unknown.add(mark, generation)
	return notFound("")
}

// supersededForeign finds out whether the token was an imported key's until a rotation
// ended it. If the store cannot say, the token is refused all the same.
func (v *Verifier) supersededForeign(ctx context.Context, token string) (keys.Decision, bool) {
	peppers, secret := v.reader.Peppers(), keys.NewSecret(token)
	ids, err := v.reader.FindSuperseded(ctx, peppers.Lookups(secret))
	if err != nil {
		return keys.Decision{}, false
	}
	for _, id := range ids {
		list, err := v.reader.Superseded(ctx, id)
		if err != nil {
			continue
		}
		if was := peppers.Superseded(list, secret, v.clock()); was != nil {
			return keys.Decision{Code: keys.CodeSuperseded, KeyID: id, Secret: was.Number, Ends: was.EndedAt}, true
		}
	}
	return keys.Decision{}, false
}

// candidates are the keys whose the token may be, as they stand now: one, or the few
// that share its handle.
func (v *Verifier) candidates(ctx context.Context, token string) ([]*entry, error) {
	ids, err := v.reader.FindImported(ctx, v.reader.Peppers().Lookups(keys.NewSecret(token)))
	if err != nil {
		return nil, err
	}
	var list []*entry
	for _, id := range ids {
		var e *entry
		if c, ok := v.cells.GetIfPresent(id); ok {
			e = c.entry.Load()
		}
		if e == nil {
			if e, err = v.fetch(ctx, id); err != nil {
				return nil, err
			}
		}
		if e != nil {
			list = append(list, e)
		}
	}
	return list, nil
}

// provedFast looks for the secret among those under fast hashes. Should two keys have
// one token, one of which is revoked, it is the revoked one's.
func (v *Verifier) provedFast(q *check, candidates []*entry, generation uint64) bool {
	var owner *entry
	var secret *keys.KeySecret
	for _, e := range candidates {
		s := v.reader.Peppers().Verify(e.key, keys.NewSecret(q.token))
		if s != nil && (owner == nil || !e.key.RevokedAt.IsZero()) {
			owner, secret = e, s
		}
	}
	if owner == nil {
		return false
	}
	v.recognise(q, owner, secret, generation)
	return true
}

// provedSlow computes slow hashes, [keys.MaxPerHandle] at the most. An address from which
// too many came that did not fit waits, before anything is computed. Revoked keys come
// first: should two keys have one token, it is the revoked one's.
func (v *Verifier) provedSlow(ctx context.Context, q *check, candidates []*entry, call *Call, at time.Duration, generation uint64) (bool, keys.Decision) {
	failed := v.foreigners.failed.account(call)
	tried := false
	slices.SortStableFunc(candidates, func(a, b *entry) int { return a.key.RevokedAt.Compare(b.key.RevokedAt) })
	slices.Reverse(candidates)
	for _, e := range candidates {
		for i := range e.key.Secrets {
			s := &e.key.Secrets[i]
			if !s.Scheme.Slow() {
				continue
			}
			if wait := failed.wait(v.foreigners.failed.limit, at); wait > 0 && q.id == "" {
				return false, keys.Decision{Code: keys.CodeRateLimited, RetryAfter: wait}
			}
			proven, err := v.foreigners.slow.proves(ctx, s, q.token)
			if err != nil {
				return false, unavailable(e.key.ID, err)
			}
			if proven {
				v.recognise(q, e, s, generation)
				return true, keys.Decision{}
			}
			tried = true
		}
	}
	if tried {
		failed.take(v.foreigners.failed.limit, 1, at)
	}
	return false, keys.Decision{}
}

// recognise remembers whose the token is.
func (v *Verifier) recognise(q *check, e *entry, s *keys.KeySecret, generation uint64) {
	q.id, q.entry = e.key.ID, e
	q.cell = v.cell(q.id)
	q.proof = e.note(s, &q.sum, &q.cell.tally)
	v.foreigners.owners.Set(q.sum, owner{q.id, generation})
	v.rehashes.offer(v.reader.Peppers().Rehash(e.key, s, keys.NewSecret(q.token)))
}
