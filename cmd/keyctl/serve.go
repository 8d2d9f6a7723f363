package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

type serveFlags struct {
	listen, cert, key, logFormat string
	proxies, hosts               []string
	drain                        string
}

func newServe(a *app) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the admin and verification API",
		GroupID: groupStore,
		Long: `Serve the admin and verification API over the key store of this machine, until
interrupted. Callers need an admin key; the first one is made here, with keyctl
issue NAME --admin, and never by the server. /openapi.yaml describes the API.

It listens on this machine alone unless told otherwise, and beyond it with TLS
only. The log goes to standard error; no secret is ever in it.

Behind a proxy all calls come from the proxy, unless it is named with
--trusted-proxy: then they come from where its X-Forwarded-For says. Name
proxies, as narrowly as can be; from them a call without that header comes from
nowhere, and keys bound to addresses are refused. A proxy that passes on the
Host header of its clients, or sends a name of its own, needs --allowed-host
with that name: on this machine only localhost and its addresses are answered.

SIGHUP reads the TLS certificate and its key again. SIGINT or SIGTERM ends the
server: /readyz answers 503, connections are accepted for the time of --drain
and closed after one answer each, and requests that then run have 10 s to end.
A second signal ends it at once. A closed terminal does not end it.`,
		Example: `  keyctl issue me --admin --out-file admin.key && keyctl serve
  KEYCTL_ADMIN_KEY_FILE=admin.key keyctl --server http://127.0.0.1:8420 list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			if err := checkListen(f.listen); err != nil {
				return err
			}
			proxies, err := f.trustedProxies()
			if err != nil {
				return err
			}
			logger, err := f.logger(a)
			if err != nil {
				return err
			}
			drain, err := f.drainTime()
			if err != nil {
				return err
			}
			reload, abort, stop := a.serverSignals()
			defer stop()
			return server.Run(cmd.Context(), server.Options{
				DB: s.DB, PepperFile: s.PepperFile,
				Listen: f.listen, TLSCert: f.cert, TLSKey: f.key, InsecureHTTP: a.insecureHTTP,
				TrustedProxies: proxies, AllowedHosts: f.hosts,
				Drain: drain, Reload: reload, Abort: abort,
				Logger: logger, FirstKey: a.command("issue", "me", "--admin"),
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.listen, "listen", server.DefaultListen, "the `ADDRESS` to listen at; port 0 takes any free one")
	flags.StringVar(&f.cert, "tls-cert", "", "speak TLS with the certificate in this PEM `FILE`")
	flags.StringVar(&f.key, "tls-key", "", "and its key in this PEM `FILE`")
	listVar(flags, &f.proxies, "trusted-proxy", "believe the X-Forwarded-For of this address or `CIDR` range")
	listVar(flags, &f.hosts, "allowed-host", "answer to this `NAME` in the Host header too")
	flags.StringVar(&f.drain, "drain", "5s", "accept connections for this `TIME` after the signal to end; 0 for none")
	flags.StringVar(&f.logFormat, "log-format", "text", "log as text or json (`FORMAT`)")
	return cmd
}

// checkListen wants an address and a port. A port alone is what most people type first.
// No port would be any free one, which only a 0 may ask for.
func checkListen(text string) error {
	if _, port, err := net.SplitHostPort(text); err == nil && port != "" {
		if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err == nil {
			return nil
		}
	}
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return usagef("--listen takes an address and a port; for this machine alone: --listen 127.0.0.1:%s", text)
	}
	return usagef("--listen takes an address and a port, such as 127.0.0.1:8420")
}

// maxDrain is longer than any proxy takes to notice.
const maxDrain = time.Hour

func (f *serveFlags) drainTime() (time.Duration, error) {
	if f.drain == "0" {
		return 0, nil
	}
	d, err := keys.ParseDuration(f.drain)
	if err != nil || d > maxDrain {
		return 0, usagef("--drain takes a time up to an hour, such as 5s, or 0")
	}
	return d, nil
}

func (f *serveFlags) trustedProxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range f.proxies {
		p, err := middleware.ParseProxy(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (f *serveFlags) logger(a *app) (*slog.Logger, error) {
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, nil)), nil
	}
	return nil, usagef("--log-format takes text or json")
}

// serverSignals are what signals mean to a server beside the end of its context: SIGHUP is
// a reload, and the second of SIGINT and SIGTERM an abort. After that the signals have
// their usual effect again.
func (e *env) serverSignals() (reload, abort <-chan struct{}, stop func()) {
	hangups, endings := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(endings, os.Interrupt, syscall.SIGTERM)
	if e.keepOnHangup != nil {
		e.keepOnHangup() // not earlier, or the signal would end the program in between
	}
	reloads, aborts, over := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		for left := 2; left > 0; {
			select {
			case <-hangups:
				offer(reloads)
			case <-endings:
				left--
			case <-over:
				return
			}
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		close(aborts)
	}()
	return reloads, aborts, func() {
		signal.Stop(hangups)
		signal.Stop(endings)
		close(over)
	}
}

// offer notes that something is to be done, once however often it was asked for.
func offer(todo chan<- struct{}) {
	select {
	case todo <- struct{}{}:
	default:
	}
}
