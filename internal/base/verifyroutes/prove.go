package verifyroutes

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/verifier"
)

const (
	// maxProofs is how many questions of one caller may be under way.
	maxProofs = 128
	// maxSlowWaiting is how many of them may wait for a slow hash of another one, and
	// slowPatience is how long.
	maxSlowWaiting = 16
	slowPatience   = time.Second
)

// callers counts what is under way for each verify key.
type callers struct {
	mu sync.Mutex
	by map[string]*underWay
}

// underWay is what a caller makes the server do now.
type underWay struct {
	questions int           // callers.mu guards it
	waiting   int           // for their turn; callers.mu guards it
	slow      chan struct{} // full while a slow hash is being computed
}

// enter notes a question. It fails if there are too many.
func (c *callers) enter(caller string) (*underWay, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.by[caller]
	if u == nil {
		if c.by == nil {
			c.by = map[string]*underWay{}
		}
		u = &underWay{slow: make(chan struct{}, 1)}
		c.by[caller] = u
	}
	if u.questions >= maxProofs {
		return nil, &restapi.BusyError{Detail: "Too many questions with this verify key are under way."}
	}
	u.questions++
	return u, nil
}

func (c *callers) leave(caller string, u *underWay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.questions--; u.questions == 0 {
		delete(c.by, caller)
	}
}

var errSlowBusy = &restapi.BusyError{Detail: "Too many imported keys with slow hashes are being checked for this verify key."}

// slowTurn lets one question of a caller compute slow hashes at a time. The others wait in the
// order in which they came.
type slowTurn struct {
	callers *callers
	of      *underWay
	mine    bool
}

// take waits for the turn. It fails if too many wait, after slowPatience, and when ctx ends.
func (s *slowTurn) take(ctx context.Context) error {
	if s.mine {
		return nil
	}
	select {
	case s.of.slow <- struct{}{}:
		s.mine = true
		return nil
	default:
	}
	if !s.queue() {
		return errSlowBusy
	}
	defer s.unqueue()
	patience := time.NewTimer(slowPatience)
	defer patience.Stop()
	select {
	case s.of.slow <- struct{}{}:
		s.mine = true
		return nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return errSlowBusy
}

// queue reports whether one more may wait.
func (s *slowTurn) queue() bool {
	s.callers.mu.Lock()
	defer s.callers.mu.Unlock()
	if s.of.waiting >= maxSlowWaiting {
		return false
	}
	s.of.waiting++
	return true
}

func (s *slowTurn) unqueue() {
	s.callers.mu.Lock()
	defer s.callers.mu.Unlock()
	s.of.waiting--
}

func (s *slowTurn) end() {
	if s.mine {
		s.mine = false
		<-s.of.slow
	}
}

func (l *lessor) prove(ctx context.Context, by *asking, m *protocol.Question) (protocol.Answer, error) {
	return l.answer(ctx, &by.asker, m.Token, &slowTurn{callers: &l.callers, of: by.underWay})
}

// answer reads the position before it reads the key: so the answer is of that position or a
// later one. The turn ends before the answer is sent, because the client may read it slowly.
func (l *lessor) answer(ctx context.Context, by *asker, token string, turn *slowTurn) (out protocol.Answer, err error) {
	if out.Position, err = l.registry.Position(ctx); err != nil {
		return out, err
	}
	read := map[string]*keys.Key{}
	q := &verifier.Question{Token: token, Now: l.now(), Current: l.readInto(read), Slow: func() error { return turn.take(ctx) }}
	defer turn.end()
	if t, err := keys.ParseToken(token); err == nil {
		q.ID = t.ID()
	} else if !keys.HasImportedForm(token) {
		out.Time = l.now().UTC()
		return out, nil // it cannot be a secret
	}
	p, err := l.source.Prove(ctx, q)
	out.Time = l.now().UTC()
	if errors.Is(err, keys.ErrTampered) {
		l.tampered(ctx, &out, keyOf(&p, q), err)
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if p.Known != nil {
		p.Key = read[p.Known.ID]
	}
	l.proof(by, &p, &out)
	return out, nil
}

// readInto is [verifier.Question].Current, which keeps the records that it read.
func (l *lessor) readInto(read map[string]*keys.Key) func(context.Context, string) (*verifier.Known, error) {
	return func(ctx context.Context, id string) (*verifier.Known, error) {
		k, err := l.source.Key(ctx, id)
		if err != nil {
			return nil, err
		}
		read[id] = k
		return verifier.KnownOf(k), nil
	}
}

// keyOf is the key that a failed proof is about.
func keyOf(p *verifier.Proof, q *verifier.Question) string {
	if p.KeyID != "" {
		return p.KeyID
	}
	return q.ID
}

// tampered answers for a key whose row cannot be trusted.
func (l *lessor) tampered(ctx context.Context, out *protocol.Answer, id string, err error) {
	out.KeyID, out.Tampered = id, true
	l.logger.LogAttrs(ctx, slog.LevelError, "key could not be checked",
		slog.String("key_id", id), slog.String("request_id", requestid.From(ctx)), slog.Any("error", err))
}

func (l *lessor) proof(by *asker, p *verifier.Proof, out *protocol.Answer) {
	if p.Ended != nil {
		out.KeyID, out.Ended = p.KeyID, &protocol.Ended{Secret: p.Ended.Secret, At: p.Ended.At}
	}
	if p.Key == nil || p.Secret == 0 { // whether a key has the id is not told
		return
	}
	out.KeyID = p.Key.ID
	out.Key, out.Secret = keyFor(by.audience, p.Key), p.Secret
	if out.Key.Withheld {
		out.Key.Secrets = []protocol.Secret{{Number: p.Secret}}
		return
	}
	pass := l.passOf(by, p.Key.ID, p.Secret)
	out.Pass = &pass
}

// key answers a verifier that proved a secret of the key. Without the pass it says nothing.
func (l *lessor) key(ctx context.Context, by *asking, m *protocol.KeyQuestion) (out protocol.Answer, err error) {
	if out.Position, err = l.registry.Position(ctx); err != nil {
		return out, err
	}
	if !l.isPass(&by.asker, m.KeyID, m.Secret, m.Pass) {
		out.Unproved, out.Time = true, l.now().UTC()
		return out, nil
	}
	k, err := l.source.Key(ctx, m.KeyID)
	out.Time = l.now().UTC()
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return out, nil
	case errors.Is(err, keys.ErrTampered):
		l.tampered(ctx, &out, m.KeyID, err)
		return out, nil
	case err != nil:
		return out, err
	}
	out.KeyID, out.Key = k.ID, keyFor(by.audience, k)
	return out, nil
}

// keyFor is what a verifier for that audience may know of k.
func keyFor(audience string, k *keys.Key) *protocol.Key {
	out := &protocol.Key{ID: k.ID, Kind: string(k.Kind), Version: k.Version, Secrets: []protocol.Secret{}}
	if k.Kind != keys.KindKey || len(k.Audience) > 0 && !slices.Contains(k.Audience, audience) {
		out.Withheld = true
		return out
	}
	for _, s := range k.Secrets {
		out.Secrets = append(out.Secrets, protocol.Secret{Number: s.Number, ExpiresAt: s.ExpiresAt})
	}
	out.Name, out.Owner, out.Scopes, out.Metadata = k.Name, k.Owner, k.Scopes, k.Metadata
	if len(k.Audience) > 0 {
		out.Audience = []string{audience}
	}
	for _, p := range k.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	out.RateLimit = k.RateLimit.String()
	out.CreatedAt, out.ExpiresAt = k.CreatedAt, k.ExpiresAt
	out.DisabledAt, out.RevokedAt = k.DisabledAt, k.RevokedAt
	return out
}
