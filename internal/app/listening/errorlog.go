package listening

import (
	"context"
	"log"
	"log/slog"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Kinds of errors that net/http reports about connections. They are counted separately, so that
// a flood of failed handshakes does not hide other errors.
const (
	kindHandshake  keys.Code = "tls_handshake"
	kindConnection keys.Code = "connection"
)

// errorLog is where net/http reports errors of connections. A client without a key can cause
// any number of these lines, so they are limited.
type errorLog struct {
	logger *slog.Logger
	limit  loglimit.Limiter
}

func newErrorLog(logger *slog.Logger) *log.Logger { //nolint:forbidigo // what net/http takes
	return log.New(&errorLog{logger: logger, limit: loglimit.Limiter{Message: "more errors of connections"}}, "", 0) //nolint:forbidigo // what net/http takes
}

// Write implements [io.Writer]: each call writes one line.
func (l *errorLog) Write(line []byte) (int, error) {
	ctx, text := context.Background(), strings.TrimSpace(string(line))
	kind, level := kindConnection, slog.LevelWarn
	if strings.HasPrefix(text, "http: TLS handshake error") {
		kind = kindHandshake
		if strings.HasSuffix(text, ": EOF") {
			level = slog.LevelDebug // a load balancer that checks whether the port is open
		}
	}
	if l.logger.Enabled(ctx, level) && l.limit.Lets(loglimit.Kind{Code: kind}, l.logger) {
		l.logger.LogAttrs(ctx, level, "a connection failed", slog.String("error", text))
	}
	return len(line), nil
}
