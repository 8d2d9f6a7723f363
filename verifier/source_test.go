package verifier_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// elsewhere is the real source with answers of another one in its place, and a note of
// what it was told.
type elsewhere struct {
	*local.Source
	open    error
	prove   func(ctx context.Context, q *verifier.Question) (verifier.Proof, error)
	mu      sync.Mutex
	applied []feed.Position
	closed  int
}

func (e *elsewhere) Open() error { return errors.Join(e.Source.Open(), e.open) }

func (e *elsewhere) Close() error {
	e.closed++
	return e.Source.Close()
}

func (e *elsewhere) Prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	if e.prove != nil {
		return e.prove(ctx, q)
	}
	return e.Source.Prove(ctx, q)
}

func (e *elsewhere) Applied(at feed.Position) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.applied = append(e.applied, at)
}

// over gives the bench a verifier over a source of which a test may change the answers.
func (b *bench) over(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{Source: b.source(b.reader)}
	v, err := verifier.New(e, &verifier.Options{Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	b.v = v
	return e
}

// A7. Every answer of a source that is not a complete proof is a refusal without an
// identity.
func TestA7AnswersThatProveNothing(t *testing.T) {
	b := newBench(t)
	e := b.over(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	current := func(ctx context.Context, q *verifier.Question) *verifier.Known {
		k, err := q.Current(ctx, q.ID)
		if err != nil {
			t.Errorf("Current: %v", err)
		}
		return k
	}
	for _, c := range []struct {
		name  string
		prove func(ctx context.Context, q *verifier.Question) (verifier.Proof, error)
		want  keys.Code
	}{
		{"an error", func(context.Context, *verifier.Question) (verifier.Proof, error) {
			return verifier.Proof{}, errors.New("no route to host")
		}, keys.CodeUnavailable},
		{"a proof and an error", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			return verifier.Proof{Known: current(ctx, q), Secret: 1}, errors.New("cut off")
		}, keys.CodeUnavailable},
		{"a secret that the key does not have", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			return verifier.Proof{Known: current(ctx, q), Secret: 7}, nil
		}, keys.CodeUnavailable},
		{"a copy of what is known", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			k := current(ctx, q)
			return verifier.Proof{Known: &verifier.Known{ID: k.ID, Secrets: k.Secrets}, Secret: 1}, nil
		}, keys.CodeUnavailable},
		{"a record, as of a remote source", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			k, err := e.Key(ctx, q.ID)
			return verifier.Proof{Key: k, Secret: 1}, err
		}, keys.CodeUnavailable},
		{"a secret of no key", func(context.Context, *verifier.Question) (verifier.Proof, error) {
			return verifier.Proof{Secret: 1}, nil
		}, keys.CodeUnavailable},
		{"a key and no secret", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			return verifier.Proof{Known: current(ctx, q)}, nil
		}, keys.CodeNotFound},
		{"a secret that ended", func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
			k := current(ctx, q)
			return verifier.Proof{Known: k, KeyID: k.ID, Ended: &verifier.Ended{Secret: 1, At: b.now}}, nil
		}, keys.CodeSuperseded},
	} {
		e.prove = c.prove
		d := b.v.Authenticate(t.Context(), token, verifier.Call{})
		if d.Code != c.want || d.Identity != nil || d.KeyID != id {
			t.Errorf("%s: got %v of key %q, identity %v, want %v of %s and none", c.name, d.Code, d.KeyID, d.Identity, c.want, id)
		}
	}
	e.prove = nil
	b.want(t, token, verifier.Call{}, keys.CodeValid)
}

// A6. A source that continues with slow hashes after the caller's share was used up proves
// nothing.
func TestA6SlowTurnsAreTheVerifiers(t *testing.T) {
	b := newBench(t)
	e := b.over(t)
	b.imports(t, "slow", "", "api01", slowHash(t, "s3cret", 4))
	for range 10 {
		b.v.Authenticate(t.Context(), "api01.guess-"+stranger(), from("192.0.2.1"))
	}
	e.prove = func(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
		refused := q.Slow()
		turns := *q
		turns.Slow = func() error { return nil }
		p, err := e.Source.Prove(ctx, &turns)
		if refused == nil || p.Secret == 0 || err != nil {
			t.Errorf("got turn %v, proof %+v, %v, so this test shows nothing", refused, p, err)
		}
		return p, err
	}
	b.want(t, "api01.s3cret", from("192.0.2.1"), keys.CodeRateLimited)
	e.prove = nil
	b.want(t, "api01.s3cret", from("192.0.2.2"), keys.CodeValid)
}

// After each look the source is told how far the verifier has come: to where the feed
// itself says that it is. So a source may tell others when a change is effective here.
func TestAppliedFollowsTheFeed(t *testing.T) {
	b := newBench(t)
	e := b.over(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.revoke(t, id)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	now, err := b.store.Changes(t.Context(), feed.Position{})
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	seqs := make([]int64, len(e.applied))
	for i, at := range e.applied {
		seqs[i] = at.Seq
	}
	if len(seqs) < 2 || seqs[len(seqs)-1] != now.Next.Seq || !slices.IsSorted(seqs) {
		t.Errorf("Applied was called with %v, want more than one position, rising to %d", seqs, now.Next.Seq)
	}
}

// A source that cannot be used is refused when a verifier is made, and one that is in use
// is closed with its verifier.
func TestSourceIsOpenedAndClosed(t *testing.T) {
	b := newBench(t)
	e := &elsewhere{Source: b.source(b.reader), open: errors.New("no credential")}
	if v, err := verifier.New(e, nil); !errors.Is(err, e.open) || v != nil {
		t.Errorf("New: got %v, want the error of Open", err)
	}
	e = b.over(t)
	if err := b.v.Close(); err != nil || e.closed != 1 {
		t.Errorf("Close: got %v, and the source closed %d times, want once", err, e.closed)
	}
	for name, source := range map[string]verifier.Source{"nil": nil, "typed nil": (*local.Source)(nil)} {
		if _, err := verifier.New(source, nil); err == nil {
			t.Errorf("New(%s): got no error", name)
		}
	}
}

// With ReadOnly a check is not counted and renews no digest.
func TestReadOnlySourceWritesNothing(t *testing.T) {
	b := newBench(t)
	v, err := verifier.New(local.New(b.store, &local.Options{ReadOnly: true}), nil)
	if err != nil {
		t.Fatal(err)
	}
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	old := b.keptWith(t, id)
	b.addPepper(t)
	wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "the key")
	wantCode(t, v, "junk", verifier.Call{}, keys.CodeMalformed, "junk")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, b.store, id); len(got) != 0 {
		t.Errorf("counted: %v", got)
	}
	if got := denials(t, b.store); len(got) != 0 {
		t.Errorf("sampled: %v", got)
	}
	if got := b.keptWith(t, id); got != old {
		t.Errorf("the digest was renewed, from pepper %s to %s", old, got)
	}
}
