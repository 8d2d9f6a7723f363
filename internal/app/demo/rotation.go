package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// grace is how long the old secret stays valid. In real use a day is better.
const grace = "2s"

// busy is a client that calls a tool without pause, in its open session.
type busy struct {
	calls  atomic.Int64
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of the first call that failed; read it after ended is closed
}

func (s *story) callWithoutPause(ctx context.Context) *busy {
	ctx, cancel := context.WithCancel(ctx)
	b := &busy{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		for ctx.Err() == nil {
			_, err := s.client.call(ctx, "get_feels_like", feelsLike())
			if err != nil && ctx.Err() == nil {
				b.err = err
				return
			}
			b.calls.Add(1)
		}
	}()
	return b
}

// more waits until n more calls have succeeded.
func (b *busy) more(n int64) error {
	for want := b.calls.Load() + n; b.calls.Load() < want; {
		select {
		case <-b.ended:
			return b.stop()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// stop ends the calls, and returns an error if one failed.
func (b *busy) stop() error {
	if b == nil {
		return nil
	}
	b.cancel()
	<-b.ended
	if b.err != nil {
		return fmt.Errorf("call %d of the busy client failed: %w", b.calls.Load()+1, b.err)
	}
	return nil
}

// rotate changes the client's secret during its calls. The session belongs to the key, so it
// continues.
func (s *story) rotate(ctx context.Context) (string, error) {
	const some = 20
	s.busy = s.callWithoutPause(ctx)
	if err := s.busy.more(some); err != nil {
		return "", err
	}
	fresh, err := s.secretOf(ctx, "rotate", keyName, "--grace", grace)
	if err != nil {
		return "", err
	}
	if fresh.ID() != s.token.ID() {
		return "", errors.New("the new secret belongs to another key")
	}
	if err := s.busy.more(some); err != nil {
		return "", err
	}
	before := s.busy.calls.Load()
	secret := fresh.Secret()
	s.client.sender.key.Store(&secret)
	if err := s.busy.more(some); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d calls with the old secret, %d with the new, none refused", before, s.busy.calls.Load()-before), nil
}

// outlive checks that the old secret ends on time, and that the client continues.
func (s *story) outlive(ctx context.Context) (string, error) {
	k, err := s.store.Key(ctx, s.token.ID())
	if err != nil {
		return "", err
	}
	if len(k.Secrets) != 2 || k.Secrets[0].ExpiresAt.IsZero() {
		return "", errors.New("the old secret has no end")
	}
	end := k.Secrets[0].ExpiresAt
	if asked, err := keys.ParseDuration(grace); err != nil || end.Sub(k.Secrets[1].CreatedAt) > asked {
		return "", errors.Join(err, fmt.Errorf("the old secret is valid for more than %s", grace))
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(time.Until(end)):
	}
	status, _, err := knock(ctx, s.url, s.token.Secret())
	if err != nil {
		return "", err
	}
	if status != http.StatusUnauthorized {
		return "", fmt.Errorf("the server answered %d to the old secret after its end, where it must answer 401", status)
	}
	if err := s.busy.more(1); err != nil {
		return "", err
	}
	if err := s.busy.stop(); err != nil {
		return "", err
	}
	return fmt.Sprintf("401 for the old secret; the client continued: %d calls in one session", s.busy.calls.Load()), nil
}
