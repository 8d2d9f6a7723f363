package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

type serveFlags struct {
	listen, verifyListen string
	cert, key, logFormat string
	proxies, hosts       []string
	drain                string
}

func newServe(a *app) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the admin and verification API",
		GroupID: groupStore,
		Long: `Serve the admin and verification API for the key store of this machine, until
interrupted. Callers need an admin key. Make the first one on this machine, with
keyctl issue NAME --admin. /openapi.yaml describes the API.

It listens on 127.0.0.1 by default, and on other addresses only with TLS. With
--listen unix:PATH it listens at a Unix socket that only its user may open, or
its group too with --allow-group. A socket that systemd passes (LISTEN_FDS) is
used instead of --listen. The log goes to standard error and holds no secrets.
With --verify-listen, programs on other hosts can verify keys at that address
while administration stays at --listen, which only this machine reaches.

Guards on other hosts need no key store: they send the secrets of their clients
here, with an admin key that has only the scope verify, for one audience. While
the server runs, a change that takes something away returns when they know it.

Behind a proxy, name the proxy with --trusted-proxy, as narrowly as possible.
The client address is then the one in its X-Forwarded-For header; without that
header it is unknown, and keys that are bound to addresses are refused. If the
proxy passes on its clients' Host header or sends its own, name that host with
--allowed-host: otherwise only localhost and this machine's addresses are
answered.

SIGHUP reads the TLS certificate and its key again. SIGINT or SIGTERM ends the
server: /readyz answers 503, connections are accepted for the time of --drain
and closed after one answer each, and running requests then have 10 s to end.
A second signal ends it at once. Closing the terminal does not end it.`,
		Example: `  keyctl issue me --admin --out-file admin.key && keyctl serve
  KEYCTL_ADMIN_KEY_FILE=admin.key keyctl --server http://127.0.0.1:8420 list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			if err := f.checkListen(); err != nil {
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
				Listen: f.listen, VerifyListen: f.verifyListen, TLSCert: f.cert, TLSKey: f.key, InsecureHTTP: a.insecureHTTP,
				TrustedProxies: proxies, AllowedHosts: f.hosts,
				Drain: drain, Reload: reload, Abort: abort,
				Logger: logger, FirstKey: a.command("issue", "me", "--admin"),
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.listen, "listen", server.DefaultListen, "the `ADDRESS` to listen on, or unix:PATH; port 0 means any free port")
	flags.StringVar(&f.verifyListen, "verify-listen", "", "also listen on this `ADDRESS`, and serve only verification there")
	flags.StringVar(&f.cert, "tls-cert", "", "use TLS with the certificate in this PEM `FILE`")
	flags.StringVar(&f.key, "tls-key", "", "the certificate's key, in this PEM `FILE`")
	listVar(flags, &f.proxies, "trusted-proxy", "trust X-Forwarded-For from this address or `CIDR` range")
	listVar(flags, &f.hosts, "allowed-host", "also accept this `NAME` in the Host header")
	flags.StringVar(&f.drain, "drain", "5s", "accept connections for this `TIME` after the signal to end; 0 for none")
	flags.StringVar(&f.logFormat, "log-format", "text", "the log's `FORMAT`: text or json")
	return cmd
}

func (f *serveFlags) checkListen() error {
	if err := checkListen("--listen", f.listen); err != nil || f.verifyListen == "" {
		return err
	}
	return checkListen("--verify-listen", f.verifyListen)
}

// checkListen wants an address and a port. Many people first type only a port, so the error
// shows the whole value. An empty port would mean any free one, for which 0 is needed.
func checkListen(flag, text string) error {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return nil
	}
	if _, port, err := net.SplitHostPort(text); err == nil && port != "" {
		if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err == nil {
			return nil
		}
	}
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return usagef("%s takes an address and a port; for this machine only: %s 127.0.0.1:%s", flag, flag, text)
	}
	return usagef("%s takes an address and a port, such as 127.0.0.1:8420, or unix: and the path of a socket", flag)
}

// maxDrain is longer than any proxy needs to notice that the server ends.
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

// serverSignals turns signals into channels: SIGHUP into reload, and the second SIGINT or
// SIGTERM into abort; the first one ends the context. After the second one the signals have
// their usual effect again.
func (e *env) serverSignals() (reload, abort <-chan struct{}, stop func()) {
	hangups, endings := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(endings, os.Interrupt, syscall.SIGTERM)
	if e.keepOnHangup != nil {
		e.keepOnHangup() // not earlier: a SIGHUP before Notify would end the program
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

// offer puts a request into todo, unless one is waiting there.
func offer(todo chan<- struct{}) {
	select {
	case todo <- struct{}{}:
	default:
	}
}
