package middleware

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	// linesEach is how many refusals of one kind are logged in a window, each on a line of
	// its own; the others are one more line when the window is over.
	linesEach   = 10
	logWindow   = time.Minute
	maxLogKinds = 256 // kinds that are told apart; further ones count together, by their code
)

// logLimit keeps a flood of refused requests from filling the disk with lines about it.
// The zero logLimit is ready for use.
type logLimit struct {
	mu     sync.Mutex
	kinds  map[logKind]int64 // refusals in the window under way
	timer  *time.Timer
	logger *slog.Logger
}

// logKind is what makes two refusals one for the log.
type logKind struct {
	code   keys.Code
	keyID  string
	source netip.Prefix
}

// lets reports whether one more refusal of a kind is logged, and counts it.
func (l *logLimit) lets(k logKind, logger *slog.Logger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds, l.logger = map[logKind]int64{}, logger
		l.timer = time.AfterFunc(logWindow, l.end)
	}
	if _, known := l.kinds[k]; !known && len(l.kinds) >= maxLogKinds {
		k = logKind{code: k.code}
	}
	l.kinds[k]++
	return l.kinds[k] <= linesEach
}

// end sums up what was not logged.
func (l *logLimit) end() {
	l.mu.Lock()
	kinds, logger := l.kinds, l.logger
	l.kinds = nil
	l.mu.Unlock()
	for k, n := range kinds {
		if n > linesEach {
			logger.Warn("more requests refused",
				slog.String("code", string(k.code)), slog.String("key_id", k.keyID), slog.String("source", sourceText(k.source)),
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
