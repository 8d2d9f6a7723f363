package remote

import (
	"bufio"
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

const (
	// silence is how long the stream of changes may be silent.
	silence = 3 * protocol.HeartEvery
	// streamPause is how long to wait at the most before the stream is opened again.
	streamPause = 5 * time.Second
)

// listen follows the stream of changes until the source is closed. An event only says that it
// is time to renew the lease: whatever the stream says, and if there is none, nothing is used
// for longer, and the renewals find each change half a second later.
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
		if !s.event(string(line)) {
			return
		}
	}
}

// event takes one line; it is false if our server does not send such lines.
func (s *Source) event(line string) bool {
	line = strings.TrimRight(line, "\r\n")
	text, isData := strings.CutPrefix(line, "data: ")
	if !isData {
		return line == "" || strings.HasPrefix(line, ":")
	}
	var at protocol.Position
	if at.UnmarshalText([]byte(text)) != nil {
		return false
	}
	if uint64(at) != s.heard.Load() {
		s.epoch.Add(1)
		s.rouse()
	}
	return true
}
