package mcphttp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// An MCP server elsewhere, behind a guard and a reverse proxy.
func ExampleHandler() {
	server := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return weather.New() }, nil))
	defer server.Close()
	upstream, _ := url.Parse(server.URL)

	db, key, cleanup := guardtest.ExampleStore("weather", "tools:get_*")
	defer cleanup()
	st, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	mux := http.NewServeMux()

	guard := middleware.New(v, &middleware.Options{Audience: "weather", Logger: slog.Default()})
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	mux.Handle("/mcp", mcphttp.Handler(guard, proxy, nil)) // parse, judge, filter lists, bind sessions
	mux.Handle("/", mcphttp.NotFound(guard))               // keep clients from looking for OAuth

	srv := httptest.NewServer(mux)
	defer srv.Close()
	ctx := context.Background()
	client := mcp.NewClient(&mcp.Implementation{Name: "example"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: srv.URL + "/mcp", HTTPClient: &http.Client{Transport: withKey(key)},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tool := range list.Tools {
		fmt.Println(tool.Name)
	}
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "set_reading", Arguments: map[string]any{"station": "berlin", "celsius": 4}})
	var denied *jsonrpc.Error
	if errors.As(err, &denied) {
		fmt.Println(denied.Message)
	}
	// Output:
	// get_feels_like
	// get_forecast
	// get_stations
	// unknown tool "set_reading"
}
