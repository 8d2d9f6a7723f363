package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// renewWithin bounds one renewal. After a failure there is time for another before the lease
// ends.
const renewWithin = feed.Lease / 2

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
	p.next = now().Add(wait*9/10 + rand.N(wait/5)) //nolint:gosec // it spreads load
}

var errNoLease = fmt.Errorf("%w: the server grants no lease at the moment, so it is asked for each request", keys.ErrUnavailable)

// Changes implements [feed.Feed]: it renews the lease, which runs from before this call, and
// tells the server that everything up to since was applied. If the stream told of changes, the
// verifier drops those first, and the renewal of the next call says so.
//
// The position that was heard moves before the verifier drops what changed, and the one that is
// told moves after it: an answer that comes between the two must not be remembered, and the
// server must not believe that all is dropped.
func (s *Source) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	if changes, ok := s.heardOf(since); ok {
		return changes, nil
	}
	s.mu.Lock()
	wait, before := s.pace.err != nil && now().Before(s.pace.next), s.pace.err
	s.mu.Unlock()
	if wait {
		return feed.Changes{}, before
	}
	ctx, cancel := s.within(ctx, renewWithin)
	defer cancel()
	changes, err := s.renew(ctx, since)
	s.mu.Lock()
	if s.pace.went(err); err == nil {
		s.told, s.era = since.Word, changes.Next.Generation
	}
	s.mu.Unlock()
	s.report(err)
	if errors.Is(err, errUnreached) {
		s.server.reconnect()
	}
	return changes, err
}

func (s *Source) renew(ctx context.Context, since feed.Position) (feed.Changes, error) {
	var g protocol.Granted
	applied := protocol.Position(since.Word)
	asked := now()
	err := s.server.post(ctx, protocol.PathLease, &protocol.Renewal{From: s.from(), Applied: applied, Era: since.Generation}, &g)
	var refused *StatusError
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest && applied != 0 { // this is another key store, or an older state of it
		applied = 0
		asked = now()
		err = s.server.post(ctx, protocol.PathLease, &protocol.Renewal{From: s.from()}, &g)
	}
	if err != nil {
		return feed.Changes{}, err
	}
	s.heardTime(g.Time, asked)
	if g.Lease < feed.Lease.Milliseconds() {
		return feed.Changes{}, errNoLease
	}
	if applied == 0 || g.Era != since.Generation {
		g.All = true
	}
	if uint64(g.Position) < s.heard.Load() && !g.All {
		return feed.Changes{}, fmt.Errorf("%w: the server went back from position %d to %d", keys.ErrUnavailable, s.heard.Load(), g.Position)
	}
	return s.changed(g.Drop, g.All, g.Imported, g.Era, g.Position), nil
}

// changed is what the verifier must drop to stand at a position. From now on answers from before
// it are not used, and those under way are not shared.
func (s *Source) changed(tags []protocol.Tag, all, imported bool, era string, at protocol.Position) feed.Changes {
	ids, all := s.known.changed(tags, all)
	s.heard.Store(uint64(at))
	if all || len(ids) > 0 {
		s.questions.Mark(true)
	}
	return feed.Changes{
		IDs: ids, Lost: all, Imported: imported,
		Next: feed.Position{Generation: era, Seq: int64(uint64(at) & (1<<48 - 1)), Word: uint64(at)},
	}
}

// logged is the reason that was logged last, and when. Empty: the lease was renewed.
type logged struct {
	reason string
	at     time.Time
}

// report logs why the lease cannot be renewed: each new reason, and the same one once a minute.
// It also logs when it can be renewed again.
func (s *Source) report(err error) {
	said := logged{at: now()}
	if err != nil {
		said.reason = err.Error()
	}
	s.mu.Lock()
	before := s.logged
	news := said.reason != before.reason || err != nil && said.at.Sub(before.at) >= time.Minute
	if news = news && s.ctx.Err() == nil; news {
		s.logged = said
	}
	s.mu.Unlock()
	switch {
	case !news:
	case err != nil:
		s.o.Logger.Warn("the lease could not be renewed; without one each request asks the server", slog.String("server", s.server.name), slog.Any("error", err))
	default:
		s.o.Logger.Info("the lease is renewed again", slog.String("server", s.server.name))
	}
}

// heardTime notes what the server's clock said. An answer that was asked for earlier than the
// last one tells nothing: the computer may have slept since.
func (s *Source) heardTime(told, asked time.Time) {
	for {
		was := s.clock.Load()
		if was != nil && !asked.After(was.asked) || s.clock.CompareAndSwap(was, &serverTime{told, asked}) {
			return
		}
	}
}

// within returns ctx with a time limit, which ends with the source too.
func (s *Source) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
