package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

type health struct {
	Status string `json:"status" doc:"ok"`
}

type healthOutput struct{ Body health }

const (
	pathHealth = "/healthz"
	pathReady  = "/readyz"
)

// mountHealth adds the routes for supervisors. Their answers say nothing about keys.
func mountHealth(a *restapi.API, ready *readiness) {
	ok := &healthOutput{health{Status: "ok"}}
	restapi.Register(a, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: pathHealth, Tags: []string{"health"},
		Summary:     "Is the process running?",
		Description: "Always 200. It does not look at the key store: see /readyz.",
		Security:    restapi.NoKey(),
	}, func(context.Context, *struct{}) (*healthOutput, error) { return ok, nil })
	restapi.Register(a, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: pathReady, Tags: []string{"health"},
		Summary: "Can it handle requests?",
		Description: "200 if the key store can be read and changed and its pepper file is in place. " +
			"503 otherwise, after two seconds without a result, and once the server begins to stop.",
		Security: restapi.NoKey(),
	}, func(ctx context.Context, _ *struct{}) (*healthOutput, error) {
		if err := ready.check(ctx); err != nil {
			return nil, err
		}
		return ok, nil
	})
}

// lookTime is how long /readyz waits for the key store.
const lookTime = 2 * time.Second

// readiness decides whether the server can handle requests.
type readiness struct {
	store   store.Store
	pepper  string // the pepper file; empty without a store file
	leaving atomic.Bool

	mu  sync.Mutex
	now *look // running, or nil
}

func newReadiness(st store.Store, o *Options) *readiness {
	r := &readiness{store: st}
	if places, err := sqlite.PlacesOf(o.DB, &sqlite.Options{PepperFile: o.PepperFile}); err == nil && o.DB != "" {
		r.pepper = places.Pepper
	}
	return r
}

// look is one check of the key store. All requests that arrive while it runs share it: they
// need no key, so they must not queue before changes of keys.
type look struct {
	over chan struct{}
	err  error
}

func (r *readiness) check(ctx context.Context) error {
	if r.leaving.Load() {
		return restapi.ErrStopping
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	l := r.begin(ctx)
	select {
	case <-l.over:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("%w: no answer after %s; another process may hold its lock", keys.ErrUnavailable, lookTime)
	}
}

// begin joins the running look or starts one, which may outlive ctx.
func (r *readiness) begin(ctx context.Context) *look {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		l := &look{over: make(chan struct{})}
		r.now = l
		go func() {
			l.err = r.look(context.WithoutCancel(ctx))
			r.mu.Lock()
			r.now = nil
			r.mu.Unlock()
			close(l.over)
		}()
	}
	return r.now
}

// look reads, begins a writing transaction, and reads the pepper file: the next request, the
// next change and the next start need these.
func (r *readiness) look(ctx context.Context) error {
	if _, err := r.store.Changes(ctx, feed.Position{}); err != nil {
		return err
	}
	if err := r.writable(ctx); err != nil {
		return err
	}
	if r.pepper == "" {
		return nil
	}
	peppers, err := pepperfile.Load(r.pepper)
	if err == nil && !peppers.Has(r.store.Peppers().Current()) {
		err = fmt.Errorf("pepper file %s does not belong to this key store; restore the right one from a backup", r.pepper)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	return nil
}

// writable changes a key that does not exist: that takes the lock and writes nothing.
func (r *readiness) writable(ctx context.Context) error {
	_, err := r.store.Update(ctx, "", func(*keys.Key) (audit.Event, error) { return audit.Event{}, keys.ErrNoChange })
	if errors.Is(err, keys.ErrNotFound) {
		return nil
	}
	return err
}
