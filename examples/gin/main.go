// Command gin guards a gin route: the caller's name, for keys that were granted
// hello:read.
//
//	go run ./examples/gin --db mcpkeys.db
//	curl -H "X-API-Key: $KEY" http://127.0.0.1:8423/hello
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func main() {
	db := flag.String("db", "mcpkeys.db", "the key store")
	flag.Parse()

	st, err := sqlite.OpenVerifier(*db, nil)
	if err != nil {
		log.Fatal(err)
	}
	v, err := verifier.New(st, nil)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{
		Addr:              "127.0.0.1:8423",
		Handler:           handler(middleware.New(v, nil)),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Printf("listening on http://%s/hello", srv.Addr)
	log.Fatal(srv.ListenAndServe())
}

func handler(guard *middleware.Guard) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()               // not gin.Default, whose log has the query in it
	_ = r.SetTrustedProxies(nil) // nobody's forwarding headers; nil cannot fail
	r.Use(ginauth.Require(guard, "hello:read"))
	r.GET("/hello", func(c *gin.Context) {
		id, _ := keys.IdentityFrom(c.Request.Context())
		c.String(http.StatusOK, "Hello, %s.\n", id.Name())
	})
	return r
}
