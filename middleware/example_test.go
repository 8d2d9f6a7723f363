package middleware_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
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
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close() // records the use of the last seconds
	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
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
	// 401 Bearer realm="mcpkeys", error="invalid_token", error_description="The API key is not valid for this server. Ask the person who issued it for a current one."
}

// A stream that ends with its key: the handler uses the held context, and checks again before
// each event, so that nothing is sent after a revoke has returned.
func ExampleGuard_Hold() {
	db, key, cleanup := guardtest.ExampleStore("weather", "reports:read")
	defer cleanup()
	st, err := sqlite.Open(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	guard := middleware.New(v, &middleware.Options{Audience: "weather"})

	news := make(chan string, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, release := guard.Hold(r.Context())
		defer release()
		for {
			select {
			case <-ctx.Done():
				return // the key or the connection ended
			case event := <-news:
				if guard.Recheck(ctx) != nil {
					return
				}
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	srv := httptest.NewServer(guard.Require("reports:read")(handler))
	defer srv.Close()

	r, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	r.Header.Set("Authorization", "Bearer "+key)
	news <- "rain"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	manager, err := admin.NewLocal(st, "example", nil)
	if err != nil {
		log.Fatal(err)
	}
	id, _ := keys.TokenID(key)
	if _, err := manager.Revoke(r.Context(), id, "example"); err != nil {
		log.Fatal(err)
	}
	news <- "hail"
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%q\n", body)
	// Output:
	// "data: rain\n\n"
}
