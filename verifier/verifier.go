// Package verifier decides whether a request's key is good: the hot path of every
// guarded server.
//
// Call [New] with a store opened for reading (sqlite.OpenVerifier), then
// [Verifier.Authenticate] once per request. What comes back is a [keys.Decision];
// its Identity answers, as often as asked, what the caller may do. Programs that
// serve HTTP need not call this package themselves: middleware does.
//
// The order of a check is fixed: format, known id, seal, digest, revoked, disabled,
// expired, kind, audience, client IP, rate limit. Malformed text never reaches the
// store. A store that cannot be read, and a row whose seal is broken, end in
// unavailable and never in a pass.
//
// Every check reads the store, so a revocation counts from the moment it is
// committed, whichever process made it.
//
// The package refuses to cache what it could not prove fresh, to log (it returns
// what a log needs) and to know about HTTP or any particular store.
package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// unavailableRetry is when a client may come back after a store failed.
const unavailableRetry = time.Second

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Now func() time.Time // nil means time.Now; its monotonic reading drives the rate limits
}

// Call says what is asked of the presented key. The zero Call asks for an ordinary
// key that is good at every server.
type Call struct {
	Kind     keys.Kind  // which kind of key belongs here; empty means keys.KindKey
	Any      bool       // every live key belongs here, whatever its kind and audience
	Audience string     // the name of the server that is called
	ClientIP netip.Addr // zero when unknown; a key bound to addresses is then refused
	Cost     int        // what the call counts against the rate limit; below 1 means 1
}

// Verifier authenticates requests against one store. It is safe for concurrent use.
// The zero Verifier is not usable.
type Verifier struct {
	reader keys.Reader
	clock  func() time.Time
	limits limiter
}

// New returns a Verifier over reader, which the caller still owns and closes after
// the last check.
func New(reader keys.Reader, o *Options) (*Verifier, error) {
	if reader == nil || isNilPointer(reader) {
		return nil, errors.New("verifier: no store; was the error of opening it dropped?")
	}
	v := &Verifier{reader: reader, clock: time.Now} //nolint:forbidigo // the default clock
	if o != nil && o.Now != nil {
		v.clock = o.Now
	}
	v.limits.start = v.clock()
	return v, nil
}

// isNilPointer catches the typed nil that a dropped error leaves in an interface.
func isNilPointer(reader keys.Reader) bool {
	r := reflect.ValueOf(reader)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Authenticate decides on one request that presents token. Call it once per
// request: it counts the call against the key's rate limit. The decision's Code
// tells the reason of a refusal, for logs; what a client may hear of it is the
// guard's business.
func (v *Verifier) Authenticate(ctx context.Context, token string, call Call) keys.Decision {
	if token == "" {
		return keys.Decision{Code: keys.CodeNoCredential}
	}
	t, err := keys.ParseToken(token)
	if err != nil {
		return keys.Decision{Code: keys.CodeMalformed}
	}
	k, err := v.find(ctx, t.ID())
	if err != nil {
		return keys.Decision{Code: keys.CodeUnavailable, KeyID: t.ID(), RetryAfter: unavailableRetry, Cause: err}
	}
	secret := v.reader.Peppers().Verify(k, t.Secret())
	if secret == nil {
		return keys.Decision{Code: keys.CodeNotFound, KeyID: t.ID()}
	}
	return v.admit(k, secret, call)
}

// find returns nil for an unknown id. A row with a broken seal is an error: nothing
// it says can be acted upon, not even that it is revoked.
func (v *Verifier) find(ctx context.Context, id string) (*keys.Key, error) {
	k, err := v.reader.Key(ctx, id)
	if errors.Is(err, keys.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = v.reader.Peppers().CheckSeal(k)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", id, err)
	}
	return k, nil
}

func (v *Verifier) admit(k *keys.Key, secret *keys.KeySecret, call Call) keys.Decision {
	now := v.clock()
	code := k.Admit(secret, now, keys.Demand{
		Kind: call.Kind, Any: call.Any, Audience: call.Audience, ClientIP: call.ClientIP,
	})
	if code != keys.CodeValid {
		return keys.Decision{Code: code, KeyID: k.ID}
	}
	identity, err := keys.NewIdentity(k)
	if err != nil {
		return keys.Decision{Code: keys.CodeUnavailable, KeyID: k.ID, RetryAfter: unavailableRetry, Cause: err}
	}
	if wait := v.limits.take(k, max(call.Cost, 1), now); wait > 0 {
		return keys.Decision{Code: keys.CodeRateLimited, KeyID: k.ID, RetryAfter: wait, Limit: k.RateLimit}
	}
	return keys.Decision{Code: keys.CodeValid, KeyID: k.ID, Identity: identity}
}
