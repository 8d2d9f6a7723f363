// Command mcpserver is a small guarded MCP server to copy: package weather over streamable
// HTTP, for callers with a key of a key store on this machine, or of a server:
//
//	go run ./examples/mcpserver --db mcpkeys.db
//	go run ./examples/mcpserver --server https://keys.internal:8420 --key-file verify.key --audience weather
//
// It serves plain HTTP, so it refuses to listen on addresses other than loopback, unless
// --insecure-http is set because a proxy before it uses TLS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mcpkeys/mcpkeys/examples/keysource"
	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcpserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	source := keysource.Flags()
	addr := flag.String("addr", "127.0.0.1:8421", "where to listen")
	audience := flag.String("audience", "", "this server's name; if empty, only keys without an audience are accepted")
	insecure := flag.Bool("insecure-http", false, "allow to listen on other addresses than loopback without TLS: the network can then read keys")
	var hosts []string
	flag.Func("allowed-host", "also accept this `NAME` in the Host header, as behind a proxy; may be repeated", func(name string) error {
		hosts = append(hosts, name)
		return nil
	})
	flag.Parse()

	v, closeSource, err := source.Open(*audience)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource() }() // writes the usage counts of the last seconds
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	guard := middleware.New(v, &middleware.Options{Audience: *audience, Logger: logger})

	listener, err := listen(ctx, *addr, *insecure)
	if err != nil {
		return err
	}
	logger.InfoContext(ctx, "listening", "url", "http://"+listener.Addr().String()+"/mcp")
	return serve(ctx, listener, handler(guard, hosts...))
}

func handler(guard *middleware.Guard, hosts ...string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcpauth.Handler(guard, weather.New(), &mcpauth.Options{AllowedHosts: hosts}))
	mux.Handle("/", mcpauth.NotFound(guard))
	return mux
}

// listen checks the address that was bound: a name may resolve to any address.
func listen(ctx context.Context, addr string, insecure bool) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if at, ok := listener.Addr().(*net.TCPAddr); insecure || (ok && at.IP.IsLoopback()) {
		return listener, nil
	}
	_ = listener.Close()
	return nil, errors.New("with plain HTTP on this address the network could read keys; listen on 127.0.0.1 behind a proxy with TLS, or use --insecure-http")
}

// serve ends with ctx; running calls then have ten seconds. There is no write timeout,
// because MCP streams stay open.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,

		DisableGeneralOptionsHandler: true, // otherwise OPTIONS * is answered before the guard
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ending); err != nil {
		return srv.Close() // clients keep streams open
	}
	return nil
}
