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

// Once is the word by which a caller marks a change that must not be made twice, however
// often it is asked for. Put into the context of one change by [WithOnce], it goes with
// that change into the store: [Store.Create] and [Store.Update] look for it first and
// write it last, all in the transaction of the change. The same word of the same caller
// on the same route within [OnceKept] is a [*ReplayedError], and nothing is done; except
// that a revocation, a disabling and the end of a secret are made again where they do not
// stand any more. An edit is not, also one that took something away: repeat it without a
// word, which is harmless.
type Once struct {
	Caller string // who asks, such as an [audit.Actor]
	Route  string // what is asked, and of which key
	Word   string // the caller's own
	Body   []byte // the request; only a keyed hash of it is kept
	At     time.Time

	// Answer renders the key as the caller is told of it, without a secret. It is kept and
	// given again to whoever repeats the request, unless the answer carried a secret. Nil
	// keeps nothing.
	Answer func(*keys.Key) (string, error)

	stands func(*keys.Key) bool // of a change that takes something away: see [Taking]
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

// Taking returns ctx for a change that takes something away, and tells how to see on its key
// that it stands. The Manager calls it: who repeats such a request must not hear that it was
// carried out while a restore, or somebody else, gave back what it took.
func Taking(ctx context.Context, stands func(*keys.Key) bool) context.Context {
	o := OnceFrom(ctx)
	if o == nil {
		return ctx
	}
	with := *o
	with.stands = stands
	return WithOnce(ctx, &with)
}

// Repeat says what becomes of a request that was carried out before, by its key as that is
// now, nil if it is gone: an error, or nil where the store carries it out again.
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

// Done is what a store keeps of a change that carried a word.
type Done struct {
	Caller, Route, Word string
	At                  time.Time
	PepperID            string // that Body was made with
	Body                []byte
	KeyID               string
	Secret              int64  // the number of the secret that the answer carried; 0 for none
	Answer              string // JSON; empty where the answer carried a secret
}

// ReplayedError says that a change was made before under the same word, and was not made
// again.
type ReplayedError struct {
	KeyID  string
	Secret int64  // the number of the secret that the first answer carried; 0 for none
	Gone   bool   // the key, or that secret of it, is not good any more
	Answer string // the first answer, as [Once].Answer rendered it; empty with a Secret
}

func (e *ReplayedError) Error() string {
	if e.Secret == 0 {
		return "this request was carried out before, and was not carried out again"
	}
	if e.Gone {
		return fmt.Sprintf("this request was carried out before: it made secret %d of key %s, which is not good any more; choose another word for another request", e.Secret, e.KeyID)
	}
	return fmt.Sprintf("this request was carried out before: it made secret %d of key %s, which was in the first answer and is in no other; "+
		"if that answer was lost, rotate the key and replace %[1]d", e.Secret, e.KeyID)
}

// Is makes errors.Is(err, ErrConflict) hold for a secret that is not shown again.
func (e *ReplayedError) Is(target error) bool { return e.Secret != 0 && target == keys.ErrConflict }

// errOtherBody and errLostBody are about the word, not about a field of the request.
func errOtherBody() error {
	return keys.Invalid("Idempotency-Key", "was used for another request; choose another word for this one")
}

func errLostBody() error {
	return keys.Invalid("Idempotency-Key", "was used before, for a request that cannot be compared any more because a pepper was retired; look whether it was carried out, and choose another word")
}

// forgets reports whether what was done is too old to be recognised.
func (o *Once) forgets(d *Done) bool { return o.At.Sub(d.At) >= OnceKept }

// Check compares o with what a store has kept under the same caller, route and word. It
// returns nil if that is too old to count, a [*ReplayedError] for the same request, and
// an [*keys.InvalidError] for another one.
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

// Done is what a store keeps of the change that e tells of, or that changed nothing when
// e is nil, and that left k behind.
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
