// Package verifier decides whether a request's key is good: the hot path of every
// guarded server.
//
// Call [New] with a store opened for reading (sqlite.OpenVerifier), then
// [Verifier.Authenticate] once per request. What comes back is a [keys.Decision];
// its Identity answers, as often as asked, what the caller may do. Programs that
// serve HTTP need not call this package themselves: middleware does. [Verifier.Close]
// it before the store, or what was counted in the last seconds is lost.
//
// The order of a check is fixed: format, known id, seal, digest, revoked, disabled,
// expired, kind, audience, client IP, rate limit. Malformed text never reaches the
// store. A store that cannot be read, and a row whose seal is broken, end in
// unavailable and never in a pass.
//
// A key is read once and remembered. Nothing remembered is used before the store's
// epoch has been compared, so when a revoke has returned, in whichever process on the
// machine, no check that starts later passes; package internal/model shows why. When
// the store cannot be read, what is remembered is good for [keys.Lease] since the
// last good look at it began, provided that nobody announced a change.
//
// The package refuses to cache what it could not prove fresh, to log (it returns
// what a log needs) and to know about HTTP or any particular store.
package verifier

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// unavailableRetry is when a client may come back after a store failed.
const unavailableRetry = time.Second

// DefaultKeys is how many keys a verifier remembers unless told otherwise.
const DefaultKeys = 100_000

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Now  func() time.Time // nil means time.Now; its monotonic reading drives rate limits and leases
	Keys int              // how many keys to remember at the most; 0 means DefaultKeys

	// Strangers limits how often one address (an IPv6 network of 64 bits counts as one)
	// may make the verifier look for keys that it does not know: the zero value means
	// DefaultStrangers. A remembered key is not concerned.
	Strangers keys.RateLimit

	// OnUseError hears, from another goroutine, that counts of use could not be written.
	// They are kept for the next try, seconds later. Nil logs that with slog's default
	// logger, once a minute at most: keys in use would look unused otherwise.
	OnUseError func(error)

	// OnRehashError hears, from another goroutine, that the digest of a secret could not
	// be renewed, as is done with those that were made with an old pepper when they are
	// used. It is told once, until it works again. Nobody is refused for it; what it means
	// is that the old pepper cannot be retired yet. Nil means that nobody wants to know.
	OnRehashError func(error)
}

// Call says what is asked of the presented key. The zero Call asks for an ordinary
// key that is good at every server.
type Call struct {
	Kind     keys.Kind  // which kind of key belongs here; empty means keys.KindKey
	Any      bool       // every live key belongs here, whatever its kind and audience
	Audience string     // the name of the server that is called
	ClientIP netip.Addr // zero when unknown; a key bound to addresses is then refused
	Cost     int        // what the call counts against the rate limit; below 1 means 1
	Agent    string     // the client's User-Agent as it was sent; its first word is noted
	Caller   string     // who asks on a client's behalf; their strangers are counted apart

	// Messages says that the request carries calls, each of which [Verifier.Charge] counts
	// against the key's rate limit. The request itself then counts one against a limit of
	// its own, [keys.RateLimit.Requests], before anything of its body is read.
	Messages bool
}

// Verifier authenticates requests against one store. It is safe for concurrent use.
// The zero Verifier is not usable.
type Verifier struct {
	reader    keys.Reader
	clock     func() time.Time
	start     time.Time
	watch     watch
	fills     fills
	cells     *otter.Cache[string, *cell]
	forgotten atomic.Uint64 // counts times of forgetting
	unknown   unknown
	strangers strangers
	ledger    ledger
	rehashes  *rehashes

	foreigners *foreigners

	subscribers subscribers
}

// New returns a Verifier over reader, which the caller still owns and closes after
// the last check. Who drops a Verifier without [Verifier.Close] loses what it counted
// in the last seconds, and nothing else.
func New(reader keys.Reader, o *Options) (*Verifier, error) {
	if reader == nil || isNilPointer(reader) {
		return nil, errors.New("verifier: no store; was the error of opening it dropped?")
	}
	if o == nil {
		o = &Options{}
	}
	v := &Verifier{reader: reader, clock: o.Now}
	if v.clock == nil {
		v.clock = time.Now //nolint:forbidigo // the default clock
	}
	size := o.Keys
	if size <= 0 {
		size = DefaultKeys
	}
	v.start = v.clock()
	v.watch.feed, v.watch.clock, v.watch.forget = reader, v.sinceStart, v.forget
	var err error
	if v.cells, err = otter.New(&otter.Options[string, *cell]{MaximumSize: size, Executor: atOnce}); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	if v.unknown, err = newUnknown(); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	if v.strangers, err = newStrangers(o.Strangers); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	if v.foreigners, err = newForeigners(size); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	if err := mayCount(reader); err != nil {
		return nil, err
	}
	onUseError := o.OnUseError
	if onUseError == nil {
		onUseError = logUseErrors(v.clock)
	}
	rehasher, _ := reader.(keys.Rehasher)
	v.rehashes = newRehashes(rehasher, v.clock, v.sinceStart, o.OnRehashError)
	v.ledger.open(reader, reader, v.clock, v.sinceStart, 2*size, onUseError)
	return v, nil
}

// isNilPointer catches the typed nil that a dropped error leaves in an interface.
func isNilPointer(reader keys.Reader) bool {
	r := reflect.ValueOf(reader)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Authenticate decides on one request that presents token. Call it once per
// request: it counts the call against the key's rate limit, or, with [Call.Messages],
// the request against the limit on requests. The decision's Code
// tells the reason of a refusal, for logs; what a client may hear of it is the
// guard's business.
func (v *Verifier) Authenticate(ctx context.Context, token string, call Call) (d keys.Decision) {
	if token == "" {
		return keys.Decision{Code: keys.CodeNoCredential}
	}
	id, ok := keys.TokenID(token)
	if !ok {
		return v.foreign(ctx, token, &call)
	}
	forgotten := v.forgotten.Load()
	c, known := v.cells.GetIfPresent(id)
	if !known { // junk ends here, before the store is asked for anything
		if _, err := keys.ParseToken(token); err != nil {
			return v.foreign(ctx, token, &call)
		}
	}
	now := v.clock()
	at := now.Sub(v.start)
	if err := v.watch.fresh(ctx, at); err != nil {
		return v.denied(unavailable(id, err), &call)
	}
	if forgotten != v.forgotten.Load() {
		c, _ = v.cells.GetIfPresent(id) // c may have been evicted before it could be told to forget
	}
	q := check{token: token, id: id, cell: c, sum: sumOf(token)}
	if !q.remembered() {
		switch d := v.prove(ctx, &q, &call, at); d.Code {
		case "":
		case keys.CodeMalformed: // its middle happened to be a known id
			return v.foreign(ctx, token, &call)
		default:
			return v.denied(d, &call)
		}
	}
	v.conclude(&d, &q, &call, now, at)
	return d
}

// conclude decides on a token that was proved, and counts.
func (v *Verifier) conclude(d *keys.Decision, q *check, call *Call, now time.Time, at time.Duration) {
	v.decide(d, q, call, now, at)
	if d.Code != keys.CodeUnavailable {
		q.cell.tally.count(d.Code)
		v.ledger.uses.note(&q.cell.tally)
	}
	if d.Code != keys.CodeValid {
		v.denied(*d, call)
	}
}

// decide judges a key that was proved to be the caller's.
func (v *Verifier) decide(d *keys.Decision, q *check, call *Call, now time.Time, at time.Duration) {
	k := q.entry.key
	d.KeyID, d.Secret = k.ID, q.proof.secret.Number
	d.Code = k.Admit(q.proof.secret, now, call.demand())
	if d.Code != keys.CodeValid {
		if d.Code == keys.CodeWrongAudience {
			d.Lacks = &keys.Lack{Audience: strings.Clone(call.Audience), Offered: slices.Clone(k.Audience)}
		}
		return
	}
	if q.entry.identity == nil {
		*d = unavailable(d.KeyID, q.entry.flaw)
		return
	}
	if d.Limit = k.RateLimit; !d.Limit.IsZero() {
		of, cost := &q.cell.bucket, max(call.Cost, 1)
		if call.Messages {
			d.Limit, of, cost = d.Limit.Requests(), &q.cell.requests, 1
		}
		wait, room := of.take(d.Limit, cost, at)
		d.Remaining, d.Reset = room.left, room.full
		if wait > 0 {
			d.Code, d.RetryAfter = keys.CodeRateLimited, wait
			return
		}
	}
	d.Identity, d.Ends = q.entry.identity, k.Ends(q.proof.secret)
	d.Newer = q.proof.newer
	q.proof.slot.use(now, call)
}

func (c *Call) demand() keys.Demand {
	return keys.Demand{Kind: c.Kind, Any: c.Any, Audience: c.Audience, ClientIP: c.ClientIP}
}

// check is one call of Authenticate on its way: what was presented, and whose it was
// found to be.
type check struct {
	token string
	id    string
	sum   [sha256.Size]byte

	cell  *cell // nil remembers nothing
	entry *entry
	proof *proof
}

// remembered reports whether the token is proved by what the cell remembers.
func (q *check) remembered() bool {
	if q.cell == nil {
		return false
	}
	if q.entry = q.cell.entry.Load(); q.entry == nil {
		return false
	}
	q.proof = q.entry.proved(&q.sum)
	return q.proof != nil
}

// prove finds the key, in the store if it is not remembered, and proves the token. It
// returns the zero Decision if that came off, else the refusal.
func (v *Verifier) prove(ctx context.Context, q *check, call *Call, at time.Duration) keys.Decision {
	t, err := keys.ParseToken(q.token)
	if err != nil {
		return keys.Decision{Code: keys.CodeMalformed}
	}
	if q.entry == nil {
		if d := v.find(ctx, q, call, t, at); d.Code != "" {
			return d
		}
	}
	peppers := v.reader.Peppers()
	if q.proof = q.entry.prove(peppers, t.Secret(), &q.sum, &q.cell.tally); q.proof == nil {
		d := v.unproved(ctx, q, t.Secret())
		q.cell.tally.count(d.Code)
		v.ledger.uses.note(&q.cell.tally)
		return d
	}
	v.rehashes.offer(peppers.Rehash(q.entry.key, q.proof.secret, t.Secret()))
	return keys.Decision{}
}

// unproved says of a token that is none of the key's secrets whether it was one.
func (v *Verifier) unproved(ctx context.Context, q *check, token keys.Secret) keys.Decision {
	list, err := q.entry.supersededIn(ctx, v.reader)
	if err != nil {
		list = nil // it is refused all the same; what is lost is a word in the log
	}
	was := v.reader.Peppers().Superseded(list, token, v.clock())
	if was == nil {
		return notFound(q.id)
	}
	return keys.Decision{Code: keys.CodeSuperseded, KeyID: q.entry.key.ID, Secret: was.Number, Ends: was.EndedAt}
}

// find looks for the key in the store. What may not exist is looked for on the account
// of where the call comes from; a key that left a cell behind does exist.
func (v *Verifier) find(ctx context.Context, q *check, call *Call, t keys.Token, at time.Duration) keys.Decision {
	mark := v.unknown.mark(q.token)
	generation := v.forgotten.Load()
	if v.unknown.has(mark, generation) {
		return notFound(q.id)
	}
	account := v.strangers.account(call)
	if wait := account.wait(v.strangers.limit, at); wait > 0 && q.cell == nil {
		return keys.Decision{Code: keys.CodeRateLimited, KeyID: q.id, RetryAfter: wait}
	}
	var err error
	if q.entry, err = v.fetch(ctx, q.id); err != nil {
		return unavailable(q.id, err)
	}
	if q.entry == nil {
		account.take(v.strangers.limit, 1, at)
		v.reader.Peppers().Verify(nil, t.Secret()) // this and what follows costs what a known id costs
		list, _ := v.reader.Superseded(ctx, q.id)  // none
		v.reader.Peppers().Superseded(list, t.Secret(), v.clock())
		v.unknown.add(mark, generation)
		return notFound(q.id)
	}
	q.cell = v.cell(q.id)
	return keys.Decision{}
}

func notFound(id string) keys.Decision { return keys.Decision{Code: keys.CodeNotFound, KeyID: id} }

func unavailable(id string, err error) keys.Decision {
	return keys.Decision{Code: keys.CodeUnavailable, KeyID: id, RetryAfter: unavailableRetry, Cause: err}
}

func (v *Verifier) sinceStart() time.Duration { return v.clock().Sub(v.start) }

// cell returns what is remembered of a key that exists, in the cache or new in it.
func (v *Verifier) cell(id string) *cell {
	if c, ok := v.cells.GetIfPresent(id); ok {
		return c
	}
	id = strings.Clone(id) // or the token would stay in memory with it
	c, _ := v.cells.SetIfAbsent(id, newCell(id))
	return c
}

func (v *Verifier) remember(id string, e *entry) {
	if e != nil {
		v.cell(id).entry.Store(e)
	}
}

// forget drops what changed. What is being read is marked first, so that nothing
// old can be put in place behind the dropping.
func (v *Verifier) forget(c keys.Changes) {
	v.foreigners.exist.Store(c.Imported)
	if len(c.IDs) == 0 && !c.Lost {
		return
	}
	v.fills.Mark(c.Lost, c.IDs...)
	if c.Lost {
		for _, one := range v.cells.All() {
			one.entry.Store(nil)
		}
	}
	for _, id := range c.IDs {
		if one, ok := v.cells.GetIfPresent(id); ok {
			one.entry.Store(nil)
		}
	}
	v.forgotten.Add(1)
	v.subscribers.tell(c)
}
