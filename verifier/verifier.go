package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/siphash"
)

// DefaultKeys is how many keys a verifier remembers unless told otherwise.
const DefaultKeys = 100_000

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Now  func() time.Time // nil means time.Now; its monotonic reading drives rate limits and leases
	Keys int              // how many keys to remember at the most; 0 means DefaultKeys

	// Strangers limits how often one address (an IPv6 network of 64 bits counts as one)
	// may make the verifier look for keys that it does not know: the zero value means
	// 12,000 a minute and 1,000 at once. The limit does not apply to remembered keys.
	Strangers keys.RateLimit

	// OnUseError hears, from another goroutine, that counts of use could not be written.
	// They are kept for the next try, seconds later. Nil logs that with slog's default
	// logger, once a minute at most: keys in use would look unused otherwise.
	OnUseError func(error)
}

// Call is what a request requires of its key. The zero Call requires an ordinary key
// without an audience.
type Call struct {
	Kind     keys.Kind  // the kind of key to accept; empty means keys.KindKey
	Any      bool       // accept every valid key, whatever its kind and audience
	Audience string     // the name of the server that is called
	ClientIP netip.Addr // zero when unknown; a key bound to addresses is then refused
	Cost     int        // what the call counts against the rate limit; below 1 means 1
	Agent    string     // the client's User-Agent as it was sent; its first word is noted
	Caller   string     // at the verification API, the caller that asks about its client; unknown keys are limited separately for it

	// AnySecret lets [Verifier.Hold] and [Verifier.Recheck] go by the secret of the key that is valid
	// longest, instead of the one that was sent: for a session, which outlives a rotation.
	AnySecret bool

	// Messages says that the request carries calls, each of which [Verifier.Charge] counts
	// against the key's rate limit. The request itself then counts one against a limit of
	// its own, [keys.RateLimit.Requests], before anything of its body is read.
	Messages bool
}

// Verifier authenticates requests against one source of keys. It is safe for concurrent
// use. The zero Verifier is not usable.
type Verifier struct {
	source  Source
	clock   clock
	remote  bool                                          // the source is on another host
	current func(context.Context, string) (*Known, error) // of cache, for questions

	door   door
	cache  cache
	ledger ledger
	holds  holds
}

// New returns a Verifier that reads keys from source. [Verifier.Close] closes the source too;
// a program that does not call it loses only the counts of the last seconds.
func New(source Source, o *Options) (*Verifier, error) {
	if source == nil || isNilPointer(source) {
		return nil, errors.New("verifier: no source of keys; make one with verifier/local")
	}
	if o == nil {
		o = &Options{}
	}
	v := &Verifier{source: source}
	v.current = v.cache.known
	v.clock.open(o.Now)
	size := o.Keys
	if size <= 0 {
		size = DefaultKeys
	}
	if err := source.Open(); err != nil {
		return nil, err
	}
	var err error
	if v.door, err = newDoor(o.Strangers); err == nil {
		err = v.cache.open(source, size, v.clock.moment, v.holds.changed)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("verifier: %w", err), source.Close())
	}
	onUseError := o.OnUseError
	if onUseError == nil {
		onUseError = logUseErrors(v.clock.time)
	}
	v.ledger.open(source, &v.clock, 2*size, onUseError)
	if v.remote = v.cache.watch.bounds.Remote; v.remote {
		v.clock.follow(source)
	}
	if v.remote && !v.cache.watch.strict() {
		v.holds.always(v.follow)
	}
	return v, nil
}

// isNilPointer catches the typed nil that a dropped error leaves in an interface.
func isNilPointer(source Source) bool {
	s := reflect.ValueOf(source)
	return s.Kind() == reflect.Pointer && s.IsNil()
}

// Close writes the usage counts, ends all subscriptions of [Verifier.OnChange], closes the
// source, and waits for all of it; the error says that counts could not be written. A
// subscriber must not call it. A store below the source stays open; the caller closes it
// afterwards.
func (v *Verifier) Close() error {
	v.holds.close() // its goroutine waits in the source
	return errors.Join(v.ledger.close(), v.source.Close())
}

// Ready reports whether keys can be checked now, for probes: nil, or why the source cannot be
// read. It waits for a look at the source if the last one is too old. It does not know that for a
// remote source without leases, and returns nil.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.cache.watch.strict() {
		return nil
	}
	return v.cache.watch.fresh(ctx, v.clock.moment())
}

// check is one running call of Authenticate: the token, and the key found for it.
type check struct {
	token    string
	id       string // the id in an mcpkeys token; for an imported token the id of its key, if known
	imported bool   // the token has the form of an imported one
	guessed  bool   // a key has the id in the token; nothing else was checked yet
	alone    bool   // the source is asked for this check alone, and nothing is remembered
	at       time.Duration
	now      int64 // by the source's clock, in nanoseconds since 1970
	sum      siphash.Sum

	generation uint64 // of what the cache remembers
	cell       *cell  // nil remembers nothing
	entry      *entry
	proof      *proof
}

// form reports whether the token has the form of an mcpkeys or an imported token.
func (c *check) form() bool {
	c.guessed = false
	if keys.IsToken(c.token) {
		return true
	}
	c.id, c.cell, c.entry = "", nil, nil
	c.imported = keys.HasImportedForm(c.token)
	return c.imported
}

// named is the id that a decision may name although nothing was proved: an imported token
// names no key.
func (c *check) named() string {
	if c.imported {
		return ""
	}
	return c.id
}

// exists reports whether the token belongs to a key that exists, or existed a moment ago.
func (c *check) exists() bool { return c.cell != nil || c.imported && c.id != "" }

// Authenticate decides on one request that presents token. Call it once per
// request: it counts the call against the key's rate limit, or, with [Call.Messages],
// the request against the limit on requests. The decision's Code is the reason of a
// refusal, for logs; the guard decides what to tell the client.
func (v *Verifier) Authenticate(ctx context.Context, token string, call Call) (d keys.Decision) {
	if token == "" {
		return keys.Decision{Code: keys.CodeNoCredential}
	}
	c := check{token: token}
	if !v.cache.seek(&c) && !c.form() { // junk ends here, before the source is asked for anything
		return v.ledger.malformed(&call)
	}
	m := v.clock.moment()
	c.at, c.now = m.at, m.now
	if err := v.cache.watch.fresh(ctx, m); err != nil {
		if c.alone = v.remote; !c.alone {
			return v.ledger.denied(unavailable(c.named(), err), &call)
		}
	}
	if c.imported && !v.mayBeImported(&c) {
		return v.ledger.malformed(&call)
	}
	c.sum = v.cache.hash.Sum(token)
	if c.alone || !v.cache.remembers(&c) {
		if d := v.prove(ctx, &c, &call); d.Code != "" {
			return v.ledger.denied(d, &call)
		}
	}
	v.decide(&d, &c, &call)
	v.ledger.note(&d, &c, &call)
	return d
}

// mayBeImported is false if no imported key exists: the token is then junk.
func (v *Verifier) mayBeImported(c *check) bool { return c.alone || v.cache.imported.Load() }

// prove finds the key of the token. It returns the zero Decision and the key in c, or the
// refusal.
func (v *Verifier) prove(ctx context.Context, c *check, call *Call) keys.Decision {
	if c.guessed {
		if !c.form() || c.imported && !v.mayBeImported(c) {
			return keys.Decision{Code: keys.CodeMalformed} // not a token, although a known id is in the place of an id
		}
		if c.imported && !c.alone && v.cache.remembers(c) {
			return keys.Decision{}
		}
	}
	if c.alone {
		c.entry = nil
	}
	c.generation = v.cache.forgotten.Load()
	from := addressOf(call)
	if c.entry == nil {
		if d := v.door.refuses(c, from); d.Code != "" {
			return d
		}
	}
	q := &struct { // one allocation
		Question
		slow slowTurn
	}{
		Question{Token: c.token, ID: c.named(), Now: time.Unix(0, c.now), Alone: c.alone, Current: v.current},
		slowTurn{guessed: &v.door.guessed, from: from, at: c.at, free: c.exists()},
	}
	slow := &q.slow
	q.Slow = slow.next
	p, err := v.source.Prove(ctx, &q.Question)
	if v.remote { // the answer took a while, and told the source's time
		c.now = v.clock.exactly().now
	}
	switch {
	case slow.wait > 0:
		return keys.Decision{Code: keys.CodeRateLimited, KeyID: c.named(), RetryAfter: slow.wait}
	case err != nil && p.KeyID != "":
		return unavailable(p.KeyID, err)
	case err != nil:
		return unavailable(c.named(), err)
	case p.Secret == 0:
		return v.unproved(c, &p, from, slow.tried)
	}
	if v.cache.learn(c, &p) {
		return keys.Decision{}
	}
	return unavailable(c.named(), errNoSuchSecret)
}

// errNoSuchSecret says that a source is faulty. The request is refused as unavailable.
var errNoSuchSecret = fmt.Errorf("%w: the source proved a secret that the key does not have", keys.ErrUnavailable)

// slowTurn allows a slow hash, unless too many from this address did not match. Tokens of
// existing keys are not limited.
type slowTurn struct {
	guessed *accounts
	from    address
	at      time.Duration
	free    bool

	tried bool
	wait  time.Duration
}

func (s *slowTurn) next() error {
	if wait := s.guessed.wait(s.from, s.at); wait > 0 && !s.free {
		s.wait = wait
		return errGuessedTooOften
	}
	s.tried = true
	return nil
}

var errGuessedTooOften = fmt.Errorf("%w: too many wrong secrets came from this address", keys.ErrUnavailable)

// unproved refuses a token that no key has, and remembers that.
func (v *Verifier) unproved(c *check, p *Proof, from address, tried bool) keys.Decision {
	d := notFound(c.named())
	if p.Ended != nil {
		d = keys.Decision{Code: keys.CodeSuperseded, KeyID: p.KeyID, Secret: p.Ended.Secret, Ends: p.Ended.At}
	}
	if tried {
		v.door.guessed.charge(from, c.at)
	}
	if id := p.exists(); id != "" {
		v.ledger.used(v.cache.cell(id), d.Code)
		return d
	}
	v.door.asked.charge(from, c.at)
	if p.Ended == nil && !c.alone {
		v.door.unknown.add(c.sum, c.generation)
	}
	return d
}
