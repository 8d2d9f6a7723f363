// Command nethttp guards a plain net/http handler: the caller's name, for keys that
// were granted hello:read.
//
//	go run ./examples/nethttp --db mcpkeys.db
//	curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8422/hello
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
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
		Addr:              "127.0.0.1:8422",
		Handler:           handler(middleware.New(v, nil)),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Printf("listening on http://%s/hello", srv.Addr)
	log.Fatal(srv.ListenAndServe())
}

func handler(guard *middleware.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		id, _ := keys.IdentityFrom(r.Context())
		_, _ = fmt.Fprintf(w, "Hello, %s.\n", id.Name())
	})
	return guard.Require("hello:read")(mux) // outside of the mux, so that unknown paths need a key too
}
