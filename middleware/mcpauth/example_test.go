package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func ExampleHandler() {
	db, key, cleanup := guardtest.ExampleStore("weather", "tools:get_*")
	defer cleanup()
	server := weather.New()
	mux := http.NewServeMux()

	st, err := sqlite.OpenVerifier(db, nil)
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
	mux.Handle("/mcp", mcpauth.Handler(guard, server, nil)) // authenticate, bind sessions, scope every tool
	mux.Handle("/", mcpauth.NotFound(guard))                // keep clients from looking for OAuth

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
