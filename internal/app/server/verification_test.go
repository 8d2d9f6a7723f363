package server_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// Attack: a program that may only verify keys reaches the address of verification, holds a stolen
// admin key with all scopes, and uses it there. Administration is not at that address.
func TestVerifyListenServesNoAdministration(t *testing.T) {
	for _, secure := range []bool{false, true} {
		f := servertest.New(t)
		adminKey := f.Admin()
		o := server.Options{DB: f.Path, Listen: "unix:" + filepath.Join(t.TempDir(), "s"), VerifyListen: "127.0.0.1:0"}
		if secure {
			o.TLSCert, o.TLSKey, _ = certificate(t)
		}
		log, stop := start(t, o, 2)
		found := regexp.MustCompile(`verification only" url=(\S+)`).FindStringSubmatch(log)
		if found == nil {
			t.Fatalf("log: got %q", log)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
		send := func(method, path, body string) int {
			r, err := http.NewRequest(method, found[1]+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+adminKey)
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			a, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = a.Body.Close()
			return a.StatusCode
		}
		for _, route := range f.API.Routes() {
			path := strings.ReplaceAll(route[1], ":id", "nobodyhasit1")
			status := send(route[0], path, "")
			verification := strings.HasPrefix(path, "/v1/verify") && path != "/v1/verifiers" || path == "/v1/introspect" || strings.HasPrefix(path, "/v1/lease")
			health := path == "/healthz" || path == "/readyz"
			if refused := status == http.StatusNotFound; refused == (verification || health) {
				t.Errorf("%s %s: got %d", route[0], path, status)
			}
		}
		if status := send("POST", "/v1/verify", `{"key":"mcpk_"}`); status != 200 {
			t.Errorf("POST /v1/verify: got %d, want 200", status)
		}
		if status := send("GET", "/v1/forward-auth?audience=weather", ""); status != 401 {
			t.Errorf("forward-auth with an admin key: got %d, want 401", status)
		}
		client.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Errorf("Run: got %v", err)
		}
	}
}

// The address of verification has the same protection as the other one.
func TestVerifyListenBeyondLoopbackNeedsTLS(t *testing.T) {
	f := servertest.New(t)
	err := server.Run(t.Context(), server.Options{DB: f.Path, Listen: "127.0.0.1:0", VerifyListen: "0.0.0.0:0"})
	if err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
