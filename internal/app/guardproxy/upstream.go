package guardproxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// socketMark begins an upstream at a Unix socket: unix:/run/weather.sock, or with a path other
// than /mcp unix:/run/weather.sock:/path.
const socketMark = "unix:"

// dialTime is how long a connection to the upstream may take.
const dialTime = 5 * time.Second

// upstream is an MCP server over HTTP.
type upstream struct {
	to         *url.URL
	socket     string // a path; empty for TCP
	audience   string
	credential *credential // nil without
	logger     *slog.Logger
	limit      loglimit.Limiter
}

// parseUpstream reads the upstream of a server. Others than this machine's must check a
// credential: otherwise everybody who reaches them bypasses the guard.
func parseUpstream(text string, hasCredential bool) (to *url.URL, socket string, err error) {
	if rest, ok := strings.CutPrefix(text, socketMark); ok {
		socket, path, found := strings.Cut(rest, ":")
		if !found {
			path = "/mcp"
		}
		if !strings.HasPrefix(socket, "/") || !strings.HasPrefix(path, "/") {
			return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "must be unix: with the full path of a socket, such as unix:/run/weather.sock"}
		}
		return &url.URL{Scheme: "http", Host: "localhost", Path: path}, socket, nil
	}
	to, err = url.Parse(text)
	if err != nil || to.Host == "" || to.Opaque != "" || (to.Scheme != "http" && to.Scheme != "https") {
		return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "must be the URL of an MCP server, such as http://127.0.0.1:9001/mcp, or unix: and the path of a socket"}
	}
	switch {
	case to.User != nil:
		return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "must not hold a password; put the server's credential into a file, see --upstream-header-file"}
	case to.Fragment != "":
		return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "must not have a #fragment"}
	case hostcheck.ThisMachine(to.Hostname()):
		return to, "", nil
	case to.Scheme == "http":
		return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "is plain HTTP to another machine; use https, or a server on this machine"}
	case !hasCredential:
		return nil, "", &keys.InvalidError{Field: fieldUpstream, Reason: "is on another machine, where clients could bypass the guard; give it a credential to check with --upstream-header-file"}
	}
	return to, "", nil
}

// handler passes requests that a guard has admitted on to the upstream.
func (u *upstream) handler(transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        u.rewrite,
		Transport:      transport,
		FlushInterval:  -1, // events must not wait
		BufferPool:     &copyBuffers,
		ModifyResponse: u.judge,
		ErrorHandler:   u.fail,
		ErrorLog:       slog.NewLogLogger(u.logger.Handler(), slog.LevelDebug), // streams that end early
	}
}

// transport uses no proxy of the environment: a request carries the upstream's credential.
func (u *upstream) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime}
	t := &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true, // what the upstream sends is judged, not unpacked
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: dialTime,
		ForceAttemptHTTP2:   true,
	}
	if u.socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.socket)
		}
	}
	return t
}

// rewrite sends the request to the upstream's URL, as the caller's. Whatever the client sent in
// our headers is gone, in any spelling that a server may take for them.
func (u *upstream) rewrite(r *httputil.ProxyRequest) {
	to := *u.to
	r.Out.URL, r.Out.Host = &to, u.to.Host
	idheader.Remove(r.Out.Header)
	i, _ := keys.IdentityFrom(r.In.Context())
	idheader.Set(r.Out.Header, i, u.audience)
	r.Out.Header["X-Request-Id"] = []string{requestid.From(r.In.Context())}
	if u.credential != nil {
		u.credential.set(r.In.Context(), r.Out.Header)
	}
}

// errRefusedUs means that the upstream did not accept the guard; errElsewhere, that it wants the
// client to go to another address, with its key.
var (
	errRefusedUs = errors.New("the MCP server refused the guard's credential")
	errElsewhere = errors.New("the MCP server answered with a redirect")
)

// judge drops answers that would make a client send its key elsewhere, or begin a login.
func (u *upstream) judge(r *http.Response) error {
	delete(r.Header, "Www-Authenticate")
	delete(r.Header, "Proxy-Authenticate")
	switch {
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusProxyAuthRequired:
		return &statusError{errRefusedUs, r.StatusCode}
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return &statusError{errElsewhere, r.StatusCode}
	}
	return nil
}

type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// codeUpstream is the code of the answer if the upstream cannot be used.
const codeUpstream = "upstream_failed"

// fail answers 502, unless the client is gone. The log has the reason, and the client does not.
func (u *upstream) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if u.limit.Lets(loglimit.Kind{Code: codeUpstream}, u.logger) {
		attrs := []slog.Attr{
			slog.String("audience", u.audience), slog.Any("error", err),
			slog.String("request_id", requestid.From(r.Context())),
		}
		if refused := (*statusError)(nil); errors.As(err, &refused) {
			attrs = append(attrs, slog.Int("status", refused.status))
		}
		u.logger.LogAttrs(r.Context(), slog.LevelError, "the MCP server cannot be used", attrs...)
	}
	middleware.Problem{
		Status: http.StatusBadGateway, Code: codeUpstream,
		Detail: "The MCP server behind this guard cannot be used right now. Its operator finds the reason in the guard's log.",
	}.Write(w, r)
}

// ready reports whether something listens at the upstream.
func (u *upstream) ready(ctx context.Context) error {
	network, address := "unix", u.socket
	if u.socket == "" {
		network, address = "tcp", u.to.Host
		if u.to.Port() == "" {
			address = net.JoinHostPort(u.to.Hostname(), u.to.Scheme)
		}
	}
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
