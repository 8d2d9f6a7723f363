package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// OnceKept is how long a repeated request is recognised.
const OnceKept = 24 * time.Hour

// Once marks a change that must be made only once, however often it is requested. [WithOnce]
// puts it into the context of one change: [Store.Create] and [Store.Update] look for its Word
// first and write it last, in the transaction of the change. If the same caller repeats the
// Word on the same route within [OnceKept], the store does nothing and returns a
// [*ReplayedError]; but if a revocation, a disabling or the end of a secret has been undone
// since, the store makes it again. It does not make an edit again: repeat an edit without a
// Word, which is harmless.
type Once struct {
	Caller string // such as an [audit.Actor]
	Route  string // the operation, and its key
	Word   string // chosen by the caller: the Idempotency-Key
	Body   []byte // the request; only a keyed hash of it is kept
	At     time.Time

	// Answer renders the key for the caller, without a secret. It is kept and returned when
	// the request is repeated, unless the first answer had a secret. Nil keeps nothing.
	Answer func(*keys.Key) (string, error)

	stands func(*keys.Key) bool // for a change that takes something away: see [Taking]
}

type onceKey struct{}

// WithOnce returns ctx with o for the one change that is made with it.
func WithOnce(ctx context.Context, o *Once) context.Context {
	return context.WithValue(ctx, onceKey{}, o)
}

// OnceFrom returns what [WithOnce] put into ctx, or nil.
func OnceFrom(ctx context.Context) *Once {
	o, _ := ctx.Value(onceKey{}).(*Once)
	return o
}

// Taking returns ctx for a change that ends something, such as a revocation; stands reports
// from the key whether the change is still in effect. The Manager calls it: a repeated
// request must not report success if a restore or another caller has undone the change.
func Taking(ctx context.Context, stands func(*keys.Key) bool) context.Context {
	o := OnceFrom(ctx)
	if o == nil {
		return ctx
	}
	with := *o
	with.stands = stands
	return WithOnce(ctx, &with)
}

// Repeat decides about a request that was carried out before, from its key as it is now, nil
// if it is missing. It returns an error, or nil if the store must carry it out again.
func (o *Once) Repeat(before *ReplayedError, k *keys.Key) error {
	switch {
	case k == nil && before.Secret == 0:
		return keys.ErrNotFound
	case before.Secret != 0 && (k == nil || !k.RevokedAt.IsZero() || k.Secret(before.Secret) == nil):
		gone := *before
		gone.Gone = true
		return &gone
	case o.stands != nil && !o.stands(k):
		return nil
	}
	return before
}

// Done is what a store keeps of a change with a [Once].
type Done struct {
	Caller, Route, Word string
	At                  time.Time
	PepperID            string // that Body was made with
	Body                []byte
	KeyID               string
	Secret              int64  // the number of the secret in the answer; 0 for none
	Answer              string // JSON; empty if the answer had a secret
}

// ReplayedError says that a change was made before under the same word, and was not made
// again.
type ReplayedError struct {
	KeyID  string
	Secret int64  // the number of the secret in the first answer; 0 for none
	Gone   bool   // the key or that secret is no longer valid
	Answer string // the first answer, as [Once].Answer rendered it; empty with a Secret
}

func (e *ReplayedError) Error() string {
	if e.Secret == 0 {
		return "this request was carried out before; it was not repeated"
	}
	if e.Gone {
		return fmt.Sprintf("this request was carried out before: it made secret %d of key %s, which is no longer valid; use a new Idempotency-Key for another request", e.Secret, e.KeyID)
	}
	return fmt.Sprintf("this request was carried out before: it made secret %d of key %s, which was shown only in the first answer; "+
		"if you lost that answer, rotate the key with replace %[1]d", e.Secret, e.KeyID)
}

// Is makes errors.Is(err, ErrConflict) hold for a secret that is not shown again.
func (e *ReplayedError) Is(target error) bool { return e.Secret != 0 && target == keys.ErrConflict }

// errOtherBody and errLostBody are about the word, not about a field of the request.
func errOtherBody() error {
	return keys.Invalid("Idempotency-Key", "was used for another request; use a new value for this one")
}

func errLostBody() error {
	return keys.Invalid("Idempotency-Key", "was used before, and a pepper was retired since, so the requests cannot be compared; check whether the first one took effect, and use a new value")
}

// forgets reports whether d is too old to be recognised.
func (o *Once) forgets(d *Done) bool { return o.At.Sub(d.At) >= OnceKept }

// Check compares o with what a store has kept under the same caller, route and word. It
// returns nil if that is too old to count, a [*ReplayedError] for the same request, and
// a [*keys.InvalidError] for another one.
func (o *Once) Check(p *pepper.Set, d *Done) error {
	if o.forgets(d) {
		return nil
	}
	same, known := p.IsBody(o.Body, d.PepperID, d.Body)
	switch {
	case !known:
		return errLostBody()
	case !same:
		return errOtherBody()
	}
	return &ReplayedError{KeyID: d.KeyID, Secret: d.Secret, Answer: d.Answer}
}

// Done is what a store keeps of a change, for later repetitions: k is the key after the
// change, and e its audit row, nil if nothing changed.
func (o *Once) Done(p *pepper.Set, k *keys.Key, e *audit.Event) (*Done, error) {
	body, pepperID := p.BodyHash(o.Body)
	d := &Done{
		Caller: o.Caller, Route: o.Route, Word: o.Word, At: keys.StoredTime(o.At),
		PepperID: pepperID, Body: body[:], KeyID: k.ID,
	}
	if e != nil && (e.Action == audit.ActionIssue || e.Action == audit.ActionRotate) && len(k.Secrets) > 0 {
		d.Secret = k.Secrets[len(k.Secrets)-1].Number
		return d, nil
	}
	if o.Answer == nil {
		return d, nil
	}
	var err error
	d.Answer, err = o.Answer(k)
	return d, err
}
