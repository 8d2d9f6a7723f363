// Package server is `keyctl serve`: the admin and verification APIs over one key store, with a
// listener, limits and an orderly stop.
//
// Call [Run]; it returns some time after its context ends. [Handler] is the same without a
// listener, for tests that bring their own.
//
// A connection that arrives on loopback is answered only if its Host is a loopback name or one
// of [Options].AllowedHosts, so that web pages cannot reach the server through their own name
// (DNS rebinding). Requests that a browser sends for a page of another origin are always
// refused.
//
// The package refuses to listen beyond loopback without TLS, unless Options.InsecureHTTP is
// set. It trusts forwarding headers only of the proxies in Options.TrustedProxies. It never
// makes an admin key: make the first one with keyctl on the machine of the key store.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/app/listening"
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/keyroutes"
	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/verifyroutes"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// DefaultListen is the address if Options.Listen is empty.
const DefaultListen = "127.0.0.1:8420"

// Options configures [Run]; [API] uses the log, the proxies, the leases and the store's files,
// [Handler] the names.
type Options struct {
	DB, PepperFile  string         // the key store
	Listen          string         // host:port, or unix: and a path; empty means DefaultListen
	VerifyListen    string         // one more address, which serves verification and health only; empty for none
	TLSCert, TLSKey string         // PEM files; both or none
	InsecureHTTP    bool           // listen beyond loopback without TLS
	TrustedProxies  []netip.Prefix // proxies whose client addresses are trusted; see [middleware.Options]
	AllowedHosts    []string       // more names that the server accepts
	Logger          *slog.Logger   // nil discards
	FirstKey        string         // the command that makes a first admin key, for the log

	Leases *leases.Registry // of verifiers on other hosts; [Run] makes its own; nil in [API]: there are none

	Drain  time.Duration   // how long it accepts connections after ctx ends
	Reload <-chan struct{} // reads the certificate and its key again; nil: never
	Abort  <-chan struct{} // ends the server at once; nil: never
}

// Run serves until ctx ends, at o.Listen or at the socket that a supervisor passed. Then /readyz
// answers 503, each answer closes its connection, and new connections are accepted for o.Drain;
// after that, running requests have ten seconds.
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	names, err := hostNames(o.AllowedHosts)
	if err != nil {
		return err
	}
	cert, err := listening.LoadCertificate(o.listening())
	if err != nil {
		return err
	}
	st, err := sqlite.Open(o.DB, &sqlite.Options{PepperFile: o.PepperFile})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	source := newSource(st, &o)
	v, err := verifierOf(source, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	listeners, err := listenAll(ctx, &o)
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // it is closed already, unless what follows fails
		}
	}()
	o.Leases = leases.New(st, slotOf(ctx, st, o.Logger), &leases.Options{Logger: o.Logger})
	defer func() { err = errors.Join(err, o.Leases.Close()) }()
	if fault := st.CountingFault(ctx); fault != nil {
		o.Logger.WarnContext(ctx, "keys are checked, but their use is not recorded until this is fixed", slog.Any("error", fault))
	}
	ready := newReadiness(st, &o)
	a := newAPI(st, source, v, ready, &o)
	if err := greet(ctx, st, listeners, &o); err != nil {
		return err
	}
	listening.Notify(ctx, "READY=1")
	serve := &listening.Server{
		Options: o.listening(), Listeners: listeners, Certificate: cert, Handler: protected(a, names),
		ConnContext: markConn,
		Leaving: func() {
			ready.leaving.Store(true)
			o.Leases.Leave() // its streams would hold the server up
		},
	}
	return serve.Serve(ctx)
}

// listening are the options of the listeners.
func (o *Options) listening() *listening.Options {
	return &listening.Options{
		Listen: cmp.Or(o.Listen, DefaultListen), TLSCert: o.TLSCert, TLSKey: o.TLSKey, InsecureHTTP: o.InsecureHTTP,
		Logger: o.Logger, Drain: o.Drain, Reload: o.Reload, Abort: o.Abort,
	}
}

// listenAll opens the listeners of o, the one for verification last.
func listenAll(ctx context.Context, o *Options) ([]net.Listener, error) {
	first, err := listening.Listen(ctx, o.listening())
	if err != nil || o.VerifyListen == "" {
		return []net.Listener{first}, err
	}
	second, err := listening.Open(ctx, o.listening(), "verify_listen", o.VerifyListen)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	return []net.Listener{first, verifyListener{second}}, nil
}

// NewVerifier returns the verifier that checks keys for [API]. The caller must close it.
func NewVerifier(st local.Store, o *Options) (*verifier.Verifier, error) {
	return verifierOf(newSource(st, o), o)
}

func newSource(st local.Store, o *Options) *local.Source {
	logger := o.logger()
	return local.New(st, &local.Options{OnRehashError: func(err error) {
		logger.Warn("used secrets could not be stored under the current pepper", slog.Any("error", err))
	}})
}

func verifierOf(source *local.Source, o *Options) (*verifier.Verifier, error) {
	logger := o.logger()
	return verifier.New(source, &verifier.Options{OnUseError: func(err error) {
		logger.Error("use of keys could not be recorded", slog.Any("error", err))
	}})
}

func (o *Options) logger() *slog.Logger {
	if o == nil || o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// API returns all routes over st, with keys checked by v. o may be nil.
func API(st store.Store, v *verifier.Verifier, o *Options) *restapi.API {
	if o == nil {
		o = &Options{}
	}
	return newAPI(st, newSource(st, o), v, newReadiness(st, o), o)
}

func newAPI(st store.Store, source *local.Source, v *verifier.Verifier, ready *readiness, o *Options) *restapi.API {
	gin.SetMode(gin.ReleaseMode) // otherwise gin prints every route
	a := restapi.New(v, &restapi.Options{Logger: o.Logger, TrustedProxies: o.TrustedProxies})
	keyroutes.Mount(a, st, nil)
	verify := &verifyroutes.Options{Logger: o.Logger}
	if o.Leases != nil {
		verify.HandedOut = o.Leases.HandedOut
		verifyroutes.MountLeases(a, o.Leases, source, st.Peppers, &verifyroutes.LeaseOptions{Logger: o.Logger})
	}
	verifyroutes.Mount(a, v, verify)
	mountHealth(a, ready)
	return a
}

// Handler adds to a the protection from web pages. It fails if a name in o is not valid. o may
// be nil.
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
	return onlyNamed(a, names, onlyVerification(a, sameOrigin(a, a.Handler())))
}

// greet logs where the server listens, and how to begin if there is no admin key.
func greet(ctx context.Context, st store.Store, listeners []net.Listener, o *Options) error {
	page, err := st.List(ctx, keys.Query{Kind: keys.KindAdmin, Unrevoked: true, Limit: 1})
	if err != nil {
		return err
	}
	for i, l := range listeners {
		message := "listening"
		if i > 0 {
			message = "listening for verification only"
		}
		o.Logger.InfoContext(ctx, message, "url", listening.URL(l.Addr(), o.TLSCert != "")) //nolint:sloglint // one of two constants
	}
	if len(page.Keys) == 0 {
		o.Logger.WarnContext(ctx, "there is no admin key yet; make one on this machine to use this API", "command", o.FirstKey)
	}
	return nil
}
