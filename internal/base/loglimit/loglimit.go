// Package loglimit keeps a flood of requests from filling the disk with log lines: ten lines a
// minute of each kind are logged, and the number of the others when the minute is over.
//
// Call [Limiter.Lets] before each line. The package itself writes only the line with the
// number. It remembers at most some hundred kinds; further ones are counted together.
package loglimit

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	// linesEach is how many lines of one kind are logged in a window; the others become one
	// line when the window is over.
	linesEach = 10
	window    = time.Minute
	maxKinds  = 256 // kinds that are counted separately; further ones are counted together, by their code
)

// Limiter is safe for concurrent use. The zero Limiter counts refusals.
type Limiter struct {
	Message string // of the line with the number; empty means "more requests refused"

	mu     sync.Mutex
	kinds  map[Kind]int64 // lines in the current window
	timer  *time.Timer
	logger *slog.Logger
}

// Kind says which lines are counted together.
type Kind struct {
	Code   keys.Code
	KeyID  string
	Source netip.Prefix
}

// Lets counts a line and reports whether it may be logged. The line with the number goes to
// logger.
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

// end logs the number of the lines that were not logged.
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

// sourceText is empty for several sources, and for an unknown one.
func sourceText(source netip.Prefix) string {
	if !source.IsValid() {
		return ""
	}
	return source.String()
}
