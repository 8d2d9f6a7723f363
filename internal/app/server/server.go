// Package server is `keyctl serve`: the admin and verification APIs over one key
// store, with the listener, the limits and the ending that a server on a network
// needs.
//
// Call [Run]; it returns some time after its context ends. [Handler] is what it serves,
// for tests that bring their own listener.
//
// A connection that arrives on loopback is answered under names of loopback only, and
// under those of [Options].AllowedHosts, so that no web page can reach the server through
// a name of its own (DNS rebinding). Requests that a browser sends for a page of another
// origin are refused everywhere.
//
// The package refuses to listen beyond loopback without TLS unless it is told to, to
// believe a forwarding header of anybody but the proxies that it is told of, and to
// make an admin key: the first one is made by
// whoever has the file.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/keyroutes"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/verifyroutes"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// DefaultListen is the address when nobody names one.
const DefaultListen = "127.0.0.1:8420"

// Options configures [Run]; [API] takes the log, the proxies and the store's files from
// it, [Handler] the names.
type Options struct {
	DB, PepperFile  string         // the key store
	Listen          string         // host:port; empty means DefaultListen
	TLSCert, TLSKey string         // PEM files; both or none
	InsecureHTTP    bool           // listen beyond loopback without TLS
	TrustedProxies  []netip.Prefix // who may say where a call comes from; see [middleware.Options]
	AllowedHosts    []string       // further names that the server answers to
	Logger          *slog.Logger   // nil discards
	FirstKey        string         // the command that makes a first admin key, for the log

	Drain  time.Duration   // how long it goes on accepting connections once it is to stop
	Reload <-chan struct{} // has the certificate and its key read again; nil: never
	Abort  <-chan struct{} // ends the server at once; nil: never
}

// Run serves until ctx ends. Then /readyz answers 503, each answer closes its
// connection, and new connections are accepted for o.Drain; requests that are under way
// after that have [endTime].
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	names, err := hostNames(o.AllowedHosts)
	if err != nil {
		return err
	}
	cert, err := loadCertificate(&o)
	if err != nil {
		return err
	}
	st, err := sqlite.Open(o.DB, &sqlite.Options{PepperFile: o.PepperFile})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	v, err := NewVerifier(st, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if fault := st.CountingFault(ctx); fault != nil {
		o.Logger.WarnContext(ctx, "keys are checked, and how often they are used cannot be written down until this is mended", slog.Any("error", fault))
	}
	ready := newReadiness(st, &o)
	a := newAPI(st, v, ready, &o)
	listener, err := listen(ctx, &o)
	if err != nil {
		return err
	}
	if err := greet(ctx, st, listener, &o); err != nil {
		return errors.Join(err, listener.Close())
	}
	r := &running{listener: listener, cert: cert, ready: ready, o: &o}
	return r.serve(ctx, protected(a, names))
}

// NewVerifier makes what checks keys for [API], and belongs to the caller.
func NewVerifier(st local.Store, o *Options) (*verifier.Verifier, error) {
	logger := slog.New(slog.DiscardHandler)
	if o != nil && o.Logger != nil {
		logger = o.Logger
	}
	source := local.New(st, &local.Options{OnRehashError: func(err error) {
		logger.Warn("secrets that are used could not be kept with the current pepper", slog.Any("error", err))
	}})
	return verifier.New(source, &verifier.Options{OnUseError: func(err error) {
		logger.Error("use of keys could not be written down", slog.Any("error", err))
	}})
}

// API is everything that is served over st, with keys checked by v. A nil o is ready
// for use.
func API(st store.Store, v *verifier.Verifier, o *Options) *restapi.API {
	if o == nil {
		o = &Options{}
	}
	return newAPI(st, v, newReadiness(st, o), o)
}

func newAPI(st store.Store, v *verifier.Verifier, ready *readiness, o *Options) *restapi.API {
	gin.SetMode(gin.ReleaseMode) // or gin prints every route
	a := restapi.New(v, &restapi.Options{Logger: o.Logger, TrustedProxies: o.TrustedProxies})
	keyroutes.Mount(a, st, nil)
	verifyroutes.Mount(a, v, &verifyroutes.Options{Logger: o.Logger})
	mountHealth(a, ready)
	return a
}

// Handler puts around a what protects a server from web pages. It fails when a name of
// o cannot be one. A nil o is ready for use.
func Handler(a *restapi.API, o *Options) (http.Handler, error) {
	if o == nil {
		o = &Options{}
	}
	names, err := hostNames(o.AllowedHosts)
	if err != nil {
		return nil, err
	}
	return protected(a, names), nil
}

func protected(a *restapi.API, names hostcheck.Names) http.Handler {
	return onlyNamed(a, names, sameOrigin(a, a.Handler()))
}

// greet says where the server is, and how to begin when nobody can use it yet.
func greet(ctx context.Context, st store.Store, listener net.Listener, o *Options) error {
	page, err := st.List(ctx, keys.Query{Kind: keys.KindAdmin, Unrevoked: true, Limit: 1})
	if err != nil {
		return err
	}
	scheme := "http"
	if o.TLSCert != "" {
		scheme = "https"
	}
	o.Logger.InfoContext(ctx, "listening", "url", scheme+"://"+listener.Addr().String())
	if len(page.Keys) == 0 {
		o.Logger.WarnContext(ctx, "there is no admin key yet, so nobody can use this API; make one on this machine", "command", o.FirstKey)
	}
	return nil
}
