package guardproxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/listening"
	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// DefaultListen is where the guard listens by default.
const DefaultListen = "127.0.0.1:8421"

// endTime is how long programs may take to end.
const endTime = 10 * time.Second

// Options configures [Run]. Either Server or Config is set.
type Options struct {
	listening.Options

	Keys   Keys
	Server *Server
	Config string // the file of several servers; read again when Reload says so

	TrustedProxies               []netip.Prefix
	AllowedHosts, TrustedOrigins []string
	Headers                      []string // more headers that may carry a key
}

// Run guards the servers of o until its context ends.
func Run(ctx context.Context, o Options) (err error) {
	p, err := Open(o) //nolint:contextcheck // a verifier runs until it is closed
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		err = errors.Join(err, p.Close(ending))
	}()
	cert, err := listening.LoadCertificate(&o.Options)
	if err != nil {
		return err
	}
	listener, err := listening.Listen(ctx, &o.Options)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // it is closed already, unless what follows fails
	url := listening.URL(listener.Addr(), cert != nil)
	for _, r := range p.now.Load().list {
		o.Logger.InfoContext(ctx, "listening", slog.String("url", url+r.server.path()), slog.String("audience", r.server.Audience))
	}
	listening.Notify(ctx, "READY=1")
	serve := &listening.Server{
		Options: &o.Options, Listeners: []net.Listener{listener}, Certificate: cert, Handler: p, Streams: true,
		Leaving: p.leave,
	}
	if o.Config != "" {
		serve.Reloaded = p.reload
	}
	return serve.Serve(ctx)
}

// Proxy is the handler of all guarded servers, and of the probes /healthz and /readyz.
type Proxy struct {
	o       Options
	shared  shared
	leaving atomic.Bool
	limit   loglimit.Limiter // of probes
	now     atomic.Pointer[table]

	mu      sync.Mutex // one change at a time
	closing sync.WaitGroup

	streams    context.Context // of streams that stay open without a call
	endStreams context.CancelFunc
}

// table is the servers of one state of the configuration. It does not change.
type table struct {
	list   []*route
	byPath map[string]*route
	rest   http.Handler // answers all other paths
}

// Open prepares the servers of o. Close must be called in the end.
func Open(o Options) (*Proxy, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	streams, endStreams := context.WithCancel(context.Background())
	p := &Proxy{o: o, limit: loglimit.Limiter{Message: "more probes that found the guard not ready"}, streams: streams, endStreams: endStreams, shared: shared{
		keys: o.Keys, logger: o.Logger, proxies: o.TrustedProxies, headers: o.Headers,
		allowedHosts: o.AllowedHosts, trustedOrigins: o.TrustedOrigins,
	}}
	p.now.Store(&table{})
	servers, err := p.servers()
	if err != nil {
		return nil, err
	}
	if _, err := p.use(servers); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Proxy) servers() ([]Server, error) {
	if p.o.Server != nil {
		return []Server{*p.o.Server}, nil
	}
	return ReadConfig(p.o.Config)
}

// use changes to these servers. A server that stays as it was keeps its sessions and programs. If
// one of the others cannot be opened, nothing changes. The returned servers must be closed, for the
// reason that is given.
func (p *Proxy) use(servers []Server) (ended map[*route]string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.now.Load()
	now := &table{byPath: map[string]*route{}}
	kept, opened := map[*route]bool{}, []*route(nil)
	for _, s := range servers {
		r := before.byPath[s.path()]
		if r == nil || !reflect.DeepEqual(r.server, s) {
			if r, err = p.shared.open(s); err != nil {
				for _, o := range opened {
					err = errors.Join(err, o.close(context.Background(), notUsed))
				}
				return nil, named(s, err)
			}
			opened = append(opened, r)
		}
		kept[r] = true
		now.list, now.byPath[s.path()] = append(now.list, r), r
	}
	now.rest = mcphttp.NotFound(middleware.New(now.list[0].checker, &middleware.Options{Logger: p.o.Logger}))
	p.now.Store(now)
	ended = map[*route]string{}
	for _, r := range before.list {
		switch {
		case kept[r]:
		case now.byPath[r.server.path()] != nil:
			ended[r] = changed
		default:
			ended[r] = removed
		}
	}
	return ended, nil
}

// reload reads the file again. An error leaves everything as it was.
func (p *Proxy) reload(ctx context.Context) {
	servers, err := p.servers()
	if err == nil {
		var ended map[*route]string
		if ended, err = p.use(servers); err == nil { //nolint:contextcheck // a verifier runs until it is closed
			p.o.Logger.InfoContext(ctx, "configuration reloaded", slog.Int("servers", len(servers)), slog.Int("ended", len(ended)))
			p.end(context.WithoutCancel(ctx), ended)
			return
		}
	}
	p.o.Logger.ErrorContext(ctx, "the new configuration cannot be used; the old one stays in use", slog.Any("error", err))
}

// end closes servers that are no longer configured, in the background: their programs may take a
// while to end.
func (p *Proxy) end(ctx context.Context, list map[*route]string) {
	for r, why := range list {
		p.closing.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, endTime)
			defer cancel()
			if err := r.close(ctx, why); err != nil {
				p.o.Logger.ErrorContext(ctx, "a server did not end properly", slog.String("server", r.server.Name), slog.Any("error", err))
			}
		})
	}
}

// leave makes probes fail, and ends the streams that would be waited for in vain once no connection
// is accepted. Running calls continue.
func (p *Proxy) leave() {
	p.leaving.Store(true)
	time.AfterFunc(p.o.Drain, p.endStreams)
}

// Close ends all servers, side by side.
func (p *Proxy) Close(ctx context.Context) error {
	p.endStreams()
	p.closing.Wait()
	list := p.now.Load().list
	faults := make([]error, len(list))
	var all sync.WaitGroup
	for i, r := range list {
		all.Go(func() { faults[i] = r.close(ctx, stopping) })
	}
	all.Wait()
	return errors.Join(faults...)
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		probe(w, r, nil)
		return
	case "/readyz":
		probe(w, r, p.ready(r.Context()))
		return
	}
	now := p.now.Load()
	if route := now.byPath[r.URL.Path]; route != nil {
		route.serve(p.streams, w, r) //nolint:contextcheck // both contexts end the request
		return
	}
	now.rest.ServeHTTP(w, r)
}
