package restapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Bounds of what is remembered of requests with an Idempotency-Key. A record is about
// 200 bytes; when there are too many, the oldest goes.
const (
	replayFor  = 24 * time.Hour
	maxReplays = 10_000
)

// Once is the part of an input that keeps a repeated request from being done twice:
// embed it, and ask [Replays.Take].
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A word of your own. The same request with the same word, within 24 hours and until the server restarts, is not done again: it is answered with the key as it is by then, without a secret" example:"deploy-4711"`

	keys int // how many such headers there were
}

// Resolve implements [huma.Resolver].
func (o *Once) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, _ string) {
		if strings.EqualFold(name, "Idempotency-Key") {
			o.keys++
		}
	})
	return nil
}

func (o *Once) validate() error {
	if o.keys > 1 || o.IdempotencyKey == "" {
		return &keys.InvalidError{Field: "Idempotency-Key", Reason: "must be given once, and not be empty"}
	}
	return keys.ValidateText("Idempotency-Key", o.IdempotencyKey)
}

// Asked is what one request asks for, and who: the key that asks, the operation, the
// key that it is about, and the body.
type Asked struct {
	Caller, Verb, ID string
	Body             any
}

// Replays remembers which requests were made. It holds no body and no secret: hashes,
// and the id of the key that came of each. It is safe for concurrent use; the zero
// value is ready.
type Replays struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*replay
	order []*replay // oldest first
}

type replay struct {
	of   [sha256.Size]byte // caller, operation and Idempotency-Key
	body [sha256.Size]byte
	at   time.Time
	id   string // of the key; empty while the request is under way
}

// Turn is the right to do a request, or the word that it was done. The zero Turn is
// that of a request without an Idempotency-Key.
type Turn struct {
	all    *Replays
	record *replay
	id     string
}

// Take looks a request up, and notes that it is under way if it is new. It fails with
// an [*keys.InvalidError], or with [keys.ErrConflict] while the same request is under
// way. Who gets a turn that is not done ends it, whatever happens.
func (all *Replays) Take(o *Once, asked Asked, now time.Time) (Turn, error) {
	if o.keys == 0 {
		return Turn{}, nil
	}
	if err := o.validate(); err != nil {
		return Turn{}, err
	}
	body, err := json.Marshal(asked.Body)
	if err != nil {
		return Turn{}, fmt.Errorf("render request: %w", err)
	}
	r := &replay{of: hashOf(asked.Caller, asked.Verb, asked.ID, o.IdempotencyKey), body: sha256.Sum256(body), at: now}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.forget(now)
	before := all.known[r.of]
	switch {
	case before == nil:
	case before.body != r.body:
		return Turn{}, &keys.InvalidError{Field: "Idempotency-Key", Reason: "was used for another request; choose another word for this one"}
	case before.id == "":
		return Turn{}, fmt.Errorf("%w: the same request is under way; wait for its end", keys.ErrConflict)
	default:
		return Turn{id: before.id}, nil
	}
	if all.known == nil {
		all.known = map[[sha256.Size]byte]*replay{}
	}
	all.known[r.of] = r
	all.order = append(all.order, r)
	return Turn{all: all, record: r}, nil
}

// forget drops what is too old, and the oldest when another would be too many.
func (all *Replays) forget(now time.Time) {
	n := 0
	for n < len(all.order) && (len(all.order)-n >= maxReplays || now.Sub(all.order[n].at) >= replayFor) {
		all.drop(all.order[n])
		n++
	}
	all.order = all.order[n:]
}

// drop leaves alone what took the place of a request that failed.
func (all *Replays) drop(r *replay) {
	if all.known[r.of] == r {
		delete(all.known, r.of)
	}
}

// Done reports whether the request was done before, and to which key.
func (t Turn) Done() (id string, ok bool) { return t.id, t.id != "" }

// End notes which key came of a request. One that failed, with nil, may be tried again.
func (t Turn) End(k *keys.Key) {
	if t.record == nil {
		return
	}
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if k == nil {
		t.all.drop(t.record)
		return
	}
	t.record.id = k.ID
}

// hashOf separates the parts: no two lists of them are one text.
func hashOf(parts ...string) [sha256.Size]byte {
	text, _ := json.Marshal(parts) // strings only: cannot fail
	return sha256.Sum256(text)
}
