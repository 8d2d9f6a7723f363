package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/mcpkeystest"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

func TestHandler(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := handler(k.Guard(nil))
	token, _ := k.Issue(admin.IssueRequest{Name: "ci", Scopes: []string{"hello:read"}})
	for _, c := range []struct {
		path, token string
		want        int
	}{{"/hello", token, 200}, {"/hello", k.Granted("hello:write"), 403}, {"/hello", "", 401}, {"/nowhere", "", 401}, {"/hello/", "", 401}} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set("X-API-Key", c.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || (w.Code == http.StatusOK && w.Body.String() != "Hello, ci.\n") {
			t.Errorf("%s: got %d %s, want %d", c.path, w.Code, w.Body, c.want)
		}
	}
}

// An MCP server in a gin engine is guarded by mcpauth, not by ginauth.
func Example_mcp() {
	gin.SetMode(gin.ReleaseMode)
	k := mcpkeystest.New()
	defer k.Close()
	guard, server := k.Guard(nil), weather.New()
	r := gin.New()

	r.Any("/mcp", gin.WrapH(mcpauth.Handler(guard, server, nil)))
	r.NoRoute(gin.WrapH(mcpauth.NotFound(guard)))

	srv := httptest.NewServer(r)
	defer srv.Close()
	client := mcp.NewClient(&mcp.Implementation{Name: "example"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{
		Endpoint: srv.URL + "/mcp", HTTPClient: &http.Client{Transport: withKey(k.Issue("tools:get_*"))},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	list, err := session.ListTools(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(list.Tools))
	resp, err := http.Get(srv.URL + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("Content-Type"))
	// Output:
	// 3
	// 404 application/problem+json
}

type withKey string

// RoundTrip implements [http.RoundTripper].
func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-API-Key", string(k))
	return http.DefaultTransport.RoundTrip(r)
}
