package guardproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// route is one guarded server, as long as its configuration stays the same.
type route struct {
	server  Server
	checker *checker
	guarded *mcphttp.Endpoint
	ready   func(ctx context.Context) error
	idle    func()         // closes connections to the upstream that are not in use
	backend *stdio.Backend // nil for an upstream
	endings *endings       // nil for an upstream
}

// serve ends a stream without calls with streams.
func (r *route) serve(streams context.Context, w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	if req.Method == http.MethodGet || req.Header.Get("Mcp-Method") == "subscriptions/listen" {
		defer context.AfterFunc(streams, cancel)()
	}
	r.guarded.ServeHTTP(w, req.WithContext(ctx)) //nolint:contextcheck // it is of the request
}

// path is where clients call the server.
func (s *Server) path() string {
	if s.Name == "" {
		return "/mcp"
	}
	return "/" + s.Name + "/mcp"
}

// shared is what all servers of a guard have in common.
type shared struct {
	keys                         Keys
	logger                       *slog.Logger
	proxies                      []netip.Prefix
	headers                      []string
	allowedHosts, trustedOrigins []string
}

// open prepares a server. It starts no program.
func (s *shared) open(server Server) (_ *route, err error) {
	if err := server.check(); err != nil {
		return nil, err
	}
	switch {
	case s.keys.Server == "" && server.KeyFile != "":
		return nil, &keys.InvalidError{Field: fieldKeyFile, Reason: "is for --server; without it keys are read from the key store of this machine"}
	case s.keys.Server != "" && server.KeyFile == "" && s.keys.KeyFile == "":
		return nil, &keys.InvalidError{Field: fieldKeyFile, Reason: "is missing: --server needs a verify key for the audience, here or in --key-file for all servers"}
	}
	logger := s.logger
	if server.Name != "" {
		logger = logger.With(slog.String("server", server.Name))
	}
	r := &route{server: server, idle: func() {}}
	next, err := s.behind(r, logger)
	if err != nil {
		return nil, err
	}
	if r.checker, err = s.keys.open(server.Audience, server.KeyFile, logger); err != nil {
		return nil, errors.Join(err, r.close(context.Background(), notUsed))
	}
	defer func() { // an option that the packages below refuse
		if p := recover(); p != nil {
			err = errors.Join(fmt.Errorf("%v", p), r.close(context.Background(), notUsed))
		}
	}()
	guard := middleware.New(r.checker, &middleware.Options{
		Audience: server.Audience, Headers: s.headers, TrustedProxies: s.proxies, Logger: logger,
	})
	if r.backend != nil {
		r.endings = &endings{guard: guard, end: r.backend.EndKey, next: next}
		next = r.endings
	}
	r.guarded = mcphttp.Handler(guard, next, &mcphttp.Options{
		AllowedHosts: s.allowedHosts, TrustedOrigins: s.trustedOrigins, Methods: server.Methods,
	})
	return r, nil
}

// behind returns the handler of the MCP server itself.
func (s *shared) behind(r *route, logger *slog.Logger) (http.Handler, error) {
	if len(r.server.Command) > 0 {
		return s.command(r, logger)
	}
	to, socket, err := parseUpstream(r.server.Upstream, r.server.HeaderFile != "")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		to: to, socket: socket, audience: r.server.Audience, logger: logger,
		limit: loglimit.Limiter{Message: "more requests that the MCP server could not answer"},
	}
	if r.server.HeaderFile != "" {
		if u.credential, err = newCredential(r.server.HeaderFile, logger); err != nil {
			return nil, err
		}
	}
	r.ready = u.ready
	transport := u.transport()
	r.idle = transport.CloseIdleConnections
	return u.handler(transport), nil
}

// command serves a program on standard input and output. What the program may read is the
// user's decision, and the defaults are safe: with another user it can open neither key store nor
// pepper nor key file. As the user of this process it can, so that needs a word, unless all that
// there is to read is a verify key for this server: a file of servers may name keys for others.
func (s *shared) command(r *route, logger *slog.Logger) (http.Handler, error) {
	same := r.server.SameUser
	if r.server.User == "" && !same {
		switch {
		case s.keys.elsewhere() && r.server.Name != "":
			return nil, &keys.InvalidError{Field: fieldUser, Reason: "is missing: name a user for the command who may not read the key files of the other servers (needs root); for a trial, same_user lets the command read all that this user can read"}
		case !s.keys.elsewhere():
			return nil, &keys.InvalidError{Field: fieldUser, Reason: "is missing: name a user for the command who may not read the key store (needs root); for a trial, --same-user lets the command read all that this user can read"}
		}
		same = true
	}
	backend, err := stdio.New(stdio.Options{
		Command: r.server.Command, Dir: r.server.Dir, Env: r.server.Env, User: r.server.User, SameUser: same, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	r.backend = backend
	r.ready = func(context.Context) error { return backend.Ready() }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mcphttp.AnswerOnly(r) { // what the program sends to its client must go to another stream
			r.Header.Set("Accept", "application/json")
		}
		backend.ServeHTTP(w, r)
	}), nil
}

// Why a server ends, as its clients are told.
const (
	notUsed  = "it could not be opened" // it has no clients
	changed  = "the configuration of this MCP server was changed"
	removed  = "this MCP server was removed from the configuration of the guard"
	stopping = "the guard is stopping"
)

// close answers what still runs with the reason, ends the programs of the server, and then writes
// the last counts.
func (r *route) close(ctx context.Context, why string) error {
	var err error
	if r.endings != nil {
		r.endings.close()
	}
	if r.guarded != nil { // while keys can be checked
		r.guarded.End(ctx, why, why != removed)
	}
	if r.backend != nil {
		err = r.backend.Close(ctx, why)
	}
	r.idle()
	if r.checker != nil {
		err = errors.Join(err, r.checker.Close())
	}
	return err
}

// check reports whether the server can be used.
func (r *route) check(ctx context.Context) error {
	return cmp.Or(r.checker.Ready(ctx), r.ready(ctx))
}
