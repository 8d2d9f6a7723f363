package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

const (
	// silence is how long the stream of changes may be silent.
	silence = 3 * protocol.HeartEvery
	// streamPause is how long to wait at the most before the stream is opened again.
	streamPause = 5 * time.Second
)

// listen follows the stream of changes until the source is closed. An event says what to drop, or
// only that it is time to renew the lease: whatever the stream says, and if there is none,
// nothing is used for longer, and the renewals find each change half a second later.
func (s *Source) listen() {
	for pause := firstPause; s.ctx.Err() == nil; pause = min(2*pause, streamPause) {
		began := now()
		s.stream()
		if time.Since(began) > silence {
			pause = firstPause
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(pause + rand.N(pause)): //nolint:gosec // it spreads load
		}
	}
}

// stream reads one stream to its end.
func (s *Source) stream() {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	body, err := s.server.open(ctx, protocol.PathChanges, &protocol.Renewal{From: s.from()})
	if err != nil {
		return
	}
	defer func() { _ = body.Close() }() // it was only read
	lines := bufio.NewReaderSize(body, protocol.MaxEvent)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil { // also if the line is too long
			return
		}
		watchdog.Reset(silence)
		if !s.event(line) {
			return
		}
	}
}

// event takes one line; it is false if our server does not send such lines.
func (s *Source) event(line []byte) bool {
	line = bytes.TrimRight(line, "\r\n")
	text, isData := bytes.CutPrefix(line, []byte("data: "))
	if !isData {
		return len(line) == 0 || line[0] == ':'
	}
	var e protocol.Event
	if json.Unmarshal(text, &e) != nil || e.From > 0 && e.From >= e.To {
		return false
	}
	s.mu.Lock()
	s.events.add(&e)
	news := e.Era != s.era || uint64(e.To) != s.heard.Load()
	s.mu.Unlock()
	if news {
		s.epoch.Add(1)
		s.rouse()
	}
	return true
}

// streamed is what the stream told since the last look: one event that says all of it. A zero From
// says that the next look has to ask.
type streamed struct {
	protocol.Event
	dropped bool // the verifier drops what was told, and the next call renews
}

// mostStreamed is how many tags are kept.
const mostStreamed = 10 * protocol.MaxTags

// add adds e to what was told. If e does not continue it, only e counts.
func (t *streamed) add(e *protocol.Event) {
	if t.From > 0 && e.From > 0 && t.Era == e.Era && t.To == e.From && len(t.Drop)+len(e.Drop) <= mostStreamed {
		t.To, t.Drop, t.Imported = e.To, append(t.Drop, e.Drop...), e.Imported
		return
	}
	t.Event = *e
}

// heardOf returns what the stream told, if that is all that changed since. Otherwise the next
// renewal finds out, which comes in any case. Only a look calls it.
func (s *Source) heardOf(since feed.Position) (feed.Changes, bool) {
	s.mu.Lock()
	e, again := s.events.Event, s.events.dropped
	s.events.dropped = false
	if again { // what has come since waits for the next look
		s.mu.Unlock()
		return feed.Changes{}, false
	}
	s.events.Event = protocol.Event{}
	ok := e.From > 0 && e.Era == since.Generation && uint64(e.From) <= since.Word && since.Word < uint64(e.To) &&
		e.From.Generation() == e.To.Generation()
	s.events.dropped = ok
	s.mu.Unlock()
	if !ok {
		return feed.Changes{}, false
	}
	changes := s.changed(e.Drop, false, e.Imported, e.Era, e.To)
	changes.More = true
	return changes, true
}
