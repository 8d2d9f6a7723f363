package guardproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// lookTime is how long /readyz waits for the servers.
const lookTime = 2 * time.Second

var errLeaving = errors.New("the guard is stopping")

// ready reports whether keys can be checked and each server can be used.
func (p *Proxy) ready(ctx context.Context) error {
	if p.leaving.Load() {
		return errLeaving
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, r := range p.now.Load().list {
		if err := r.check(ctx); err != nil {
			if p.limit.Lets(loglimit.Kind{Code: api.CodeUnavailable, KeyID: r.server.Name}, p.o.Logger) {
				p.o.Logger.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("server", r.server.Name), slog.Any("error", err))
			}
			return named(r.server, err)
		}
	}
	return nil
}

// probe answers a supervisor. The answer says nothing about servers and keys.
func probe(w http.ResponseWriter, r *http.Request, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		middleware.Problem{Status: http.StatusMethodNotAllowed, Code: api.CodeMethodNotAllowed, Detail: "Use GET."}.Write(w, r)
		return
	}
	if err != nil {
		middleware.Problem{Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Detail: "This guard cannot serve requests right now. Its log has the reason."}.Write(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, `{"status":"ok"}`+"\n") // the supervisor may be gone
}
