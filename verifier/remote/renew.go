package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// renewWithin bounds one renewal. After a failure there is time for another before the lease
// ends.
const renewWithin = protocol.Lease / 2

// pace says when to renew. After a failure it waits longer each time, up to longestPause.
type pace struct {
	next   time.Time
	failed int
	err    error // of the last renewal
}

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

func (p *pace) went(err error) {
	wait := protocol.RenewEvery
	if p.err = err; err == nil || errors.Is(err, errNoLease) {
		p.failed = 0
	} else {
		wait = min(firstPause<<min(p.failed, 10), longestPause)
		p.failed++
	}
	p.next = time.Now().Add(wait*9/10 + rand.N(wait/5)) //nolint:gosec // it spreads load
}

var errNoLease = fmt.Errorf("%w: the server grants no lease at the moment, so it is asked for each request", keys.ErrUnavailable)

// Changes implements [feed.Feed]: it renews the lease, which runs from before this call, and
// tells the server that everything up to since was applied.
//
// The position that was heard moves before the verifier drops what changed, and the one that is
// told moves after it: an answer that comes between the two must not be remembered, and the
// server must not believe that all is dropped.
func (s *Source) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	s.mu.Lock()
	wait, before := s.pace.failed > 0 && time.Now().Before(s.pace.next), s.pace.err
	s.mu.Unlock()
	if wait {
		return feed.Changes{}, before
	}
	ctx, cancel := s.within(ctx, renewWithin)
	defer cancel()
	changes, err := s.renew(ctx, protocol.Position(since.Word))
	s.mu.Lock()
	if s.pace.went(err); err == nil {
		s.told = since.Word
	}
	s.mu.Unlock()
	s.report(before, err)
	if err != nil && !errors.Is(err, errNoLease) {
		s.server.reconnect()
	}
	return changes, err
}

func (s *Source) renew(ctx context.Context, applied protocol.Position) (feed.Changes, error) {
	var g protocol.Granted
	asked := time.Now()
	err := s.server.post(ctx, protocol.PathLease, &protocol.Renewal{From: s.from(), Applied: applied}, &g)
	var refused *StatusError
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest && applied != 0 { // this is another key store, or an older state of it
		applied = 0
		asked = time.Now()
		err = s.server.post(ctx, protocol.PathLease, &protocol.Renewal{From: s.from()}, &g)
	}
	if err != nil {
		return feed.Changes{}, err
	}
	s.clock.Store(&serverTime{g.Time, asked})
	if g.Lease < protocol.Lease.Milliseconds() {
		return feed.Changes{}, errNoLease
	}
	if applied == 0 {
		g.All = true
	}
	if uint64(g.Position) < s.heard.Load() && !g.All {
		return feed.Changes{}, fmt.Errorf("%w: the server went back from position %d to %d", keys.ErrUnavailable, s.heard.Load(), g.Position)
	}
	ids, all := s.known.changed(&g)
	s.heard.Store(uint64(g.Position))
	if all || len(ids) > 0 {
		s.questions.Mark(true)
	}
	return feed.Changes{
		IDs: ids, Lost: all, Imported: g.Imported, Time: g.Time,
		Next: feed.Position{
			Generation: strconv.FormatUint(g.Position.Generation(), 10),
			Seq:        int64(uint64(g.Position) & (1<<48 - 1)), //nolint:gosec // 48 bits
			Word:       uint64(g.Position),
		},
	}, nil
}

// report logs when the server can no longer be used, and when it can again.
func (s *Source) report(before, now error) {
	switch {
	case s.ctx.Err() != nil:
	case now != nil && before == nil:
		s.o.Logger.Warn("the lease could not be renewed; without one each request asks the server", slog.String("server", s.server.name), slog.Any("error", now))
	case now == nil && before != nil:
		s.o.Logger.Info("the lease is renewed again", slog.String("server", s.server.name))
	}
}

// within returns ctx with a time limit, which ends with the source too.
func (s *Source) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
