package mcpkeystest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/mcpkeystest"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// A key with the scope tools:get_* sees the tools that read, and not the one that writes.
func Example() {
	k := mcpkeystest.New()
	defer k.Close()
	srv := httptest.NewServer(mcpauth.Handler(k.Guard(nil), weather.New(), nil))
	defer srv.Close()
	list, err := connect(srv.URL, k.Issue("tools:get_*")).ListTools(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tool := range list.Tools {
		fmt.Println(tool.Name)
	}
	// Output:
	// get_feels_like
	// get_forecast
	// get_stations
}

// connect is a client that sends the secret.
func connect(url, secret string) *mcp.ClientSession {
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: withSecret(secret)},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return session
}

type withSecret string

// RoundTrip implements [http.RoundTripper].
func (s withSecret) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(s))
	return http.DefaultTransport.RoundTrip(r)
}
