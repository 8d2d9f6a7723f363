package middleware_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/mcpkeys/mcpkeys/internal/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func ExampleGuard_Require() {
	db, key, cleanup := guardtest.ExampleStore("weather", "reports:read")
	defer cleanup()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := keys.IdentityFrom(r.Context())
		fmt.Fprintf(w, "reports for %s", id.Name())
	})

	st, err := sqlite.OpenVerifier(db, nil) // query-only; the pepper lies beside it
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	v, err := verifier.New(st, nil)
	if err != nil {
		log.Fatal(err)
	}
	guard := middleware.New(v, &middleware.Options{Audience: "weather"})
	http.Handle("/reports/", guard.Require("reports:read")(handler))

	for _, presented := range []string{key, "mcpk_EXAMPLEkey00_thisIsTheDocumentedExampleKey0000000"} {
		r := httptest.NewRequest(http.MethodGet, "/reports/", nil)
		r.Header.Set("Authorization", "Bearer "+presented)
		w := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
		} else {
			fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	// Output:
	// 200 reports for example
	// 401 Bearer realm="mcpkeys", error="invalid_token"
}
