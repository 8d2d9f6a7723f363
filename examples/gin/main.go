// Command gin is a gin route that answers with the caller's name, for keys with the scope
// hello:read.
//
//	go run ./examples/gin --db mcpkeys.db
//	curl -H "X-API-Key: $KEY" http://127.0.0.1:8423/hello
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/examples/keysource"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	source := keysource.Flags()
	audience := flag.String("audience", "", "this server's name; if empty, only keys without an audience are accepted")
	flag.Parse()

	v, closeSource, err := source.Open(*audience)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource() }() // writes the usage counts of the last seconds
	guard := middleware.New(v, &middleware.Options{Audience: *audience, Logger: slog.Default()})
	srv := &http.Server{
		Addr:              "127.0.0.1:8423",
		Handler:           handler(guard),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Printf("listening on http://%s/hello", srv.Addr)
	return serve(ctx, srv)
}

// serve ends with ctx; running calls then have ten seconds.
func serve(ctx context.Context, srv *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ending)
}

func handler(guard *middleware.Guard) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()                  // not gin.Default, which logs the query
	_ = r.SetTrustedProxies(nil)    // trust no forwarding headers; nil cannot fail
	r.RedirectTrailingSlash = false // otherwise a redirect shows, without a key, which paths exist
	r.Use(ginauth.Require(guard, "hello:read"))
	r.GET("/hello", func(c *gin.Context) {
		id, _ := keys.IdentityFrom(c.Request.Context())
		c.String(http.StatusOK, "Hello, %s.\n", id.Name())
	})
	return r
}
