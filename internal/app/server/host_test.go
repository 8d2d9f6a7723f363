package server_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Caddy, HAProxy and Envoy forward their clients' Host, and nginx sends the name of its
// upstream: names that the operator allows are accepted, and a web page's name is still
// refused.
func TestAllowedHosts(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	handler, err := server.Handler(f.API, &server.Options{AllowedHosts: []string{"keys.example.com", "mcpkeys_upstream"}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	f.URL = srv.URL
	for host, want := range map[string]int{
		"keys.example.com": 200, "KEYS.example.com:443": 200, "mcpkeys_upstream": 200, "localhost": 200, "127.0.0.1:80": 200, "": 200,
		"example.com": 421, "evil.example": 421, "x.keys.example.com": 421, "keys.example.com.evil.example": 421,
	} {
		r := f.Request("GET", "/v1/whoami", admin, "")
		r.Host = host
		a := f.Do(r)
		if a.Status != want {
			t.Errorf("Host %q: got %d, want %d", host, a.Status, want)
		}
		if want != 421 {
			continue
		}
		if p := a.Problem(t); p.Code != "wrong_host" || !strings.Contains(p.Detail, "--allowed-host NAME") {
			t.Errorf("Host %q: got %+v, want the flag that allows it", host, p)
		}
	}
}

func TestAllowedHostsRefuses(t *testing.T) {
	f := servertest.New(t)
	for _, name := range []string{"", "*", "*.example.com", "https://example.com", "example.com:8420", "a b", "example.com/x"} {
		_, err := server.Handler(f.API, &server.Options{AllowedHosts: []string{name}})
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "allowed_host" {
			t.Errorf("AllowedHosts %q: got %v, want an InvalidError of allowed_host", name, err)
		}
	}
}
