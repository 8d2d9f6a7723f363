// Package loglimit keeps a flood of requests from filling the disk with log lines: of each
// kind ten a minute are logged, the others as a number when the minute is over.
//
// Ask [Limiter.Lets] before each line. The package refuses to write a line of its own but
// that number, and to remember more than some hundred kinds: further ones count together.
package loglimit

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	// linesEach is how many of one kind are logged in a window, each on a line of its own;
	// the others are one more line when the window is over.
	linesEach = 10
	window    = time.Minute
	maxKinds  = 256 // kinds that are told apart; further ones count together, by their code
)

// Limiter is safe for concurrent use. The zero Limiter counts refusals.
type Limiter struct {
	Message string // of the line with the number; empty means "more requests refused"

	mu     sync.Mutex
	kinds  map[Kind]int64 // lines in the window under way
	timer  *time.Timer
	logger *slog.Logger
}

// Kind is what makes two lines one for the log.
type Kind struct {
	Code   keys.Code
	KeyID  string
	Source netip.Prefix
}

// Lets reports whether one more line of a kind is logged, and counts it. Logger gets the
// line with the number.
func (l *Limiter) Lets(k Kind, logger *slog.Logger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds, l.logger = map[Kind]int64{}, logger
		l.timer = time.AfterFunc(window, l.end)
	}
	if _, known := l.kinds[k]; !known && len(l.kinds) >= maxKinds {
		k = Kind{Code: k.Code}
	}
	l.kinds[k]++
	return l.kinds[k] <= linesEach
}

// end sums up what was not logged.
func (l *Limiter) end() {
	l.mu.Lock()
	kinds, logger, message := l.kinds, l.logger, l.Message
	l.kinds = nil
	l.mu.Unlock()
	if message == "" {
		message = "more requests refused"
	}
	for k, n := range kinds {
		if n > linesEach {
			logger.Warn(message, //nolint:sloglint // one of two constants
				slog.String("code", string(k.Code)), slog.String("key_id", k.KeyID), slog.String("source", sourceText(k.Source)),
				slog.Int64("not_logged", n-linesEach))
		}
	}
}

// sourceText is empty for many sources, and for one that is not known.
func sourceText(source netip.Prefix) string {
	if !source.IsValid() {
		return ""
	}
	return source.String()
}
