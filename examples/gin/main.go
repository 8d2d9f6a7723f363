// Command gin guards a gin route: the caller's name, for keys that were granted
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

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db := flag.String("db", "mcpkeys.db", "the key store")
	flag.Parse()

	st, err := sqlite.OpenVerifier(*db, nil)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }() // writes down who called in the last seconds
	guard := middleware.New(v, &middleware.Options{Logger: slog.Default()})
	srv := &http.Server{
		Addr:              "127.0.0.1:8423",
		Handler:           handler(guard),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Printf("listening on http://%s/hello", srv.Addr)
	return serve(ctx, srv)
}

// serve ends with ctx, leaving calls under way ten seconds.
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
	r := gin.New()                  // not gin.Default, whose log has the query in it
	_ = r.SetTrustedProxies(nil)    // believe no forwarding header; nil cannot fail
	r.RedirectTrailingSlash = false // or a redirect tells which paths there are, before the key is asked for
	r.Use(ginauth.Require(guard, "hello:read"))
	r.GET("/hello", func(c *gin.Context) {
		id, _ := keys.IdentityFrom(c.Request.Context())
		c.String(http.StatusOK, "Hello, %s.\n", id.Name())
	})
	return r
}
