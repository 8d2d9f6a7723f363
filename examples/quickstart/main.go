// Command quickstart is the smallest guarded MCP server that is whole: two tools, for
// callers with a key from the key store in mcpkeys.db. README.md shows it, and
// docs/quickstart.md runs it.
package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	st, err := sqlite.OpenVerifier("mcpkeys.db", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close() // writes down who called in the last seconds
	guard := middleware.New(v, &middleware.Options{Audience: "hello", Logger: slog.Default()})

	server := mcp.NewServer(&mcp.Implementation{Name: "hello", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "get_greeting"}, answer("Hello, "))
	mcp.AddTool(server, &mcp.Tool{Name: "set_alarm"}, answer("Wake up, "))
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcpauth.Handler(guard, server, nil)) // authenticate, bind sessions, scope every tool
	mux.Handle("/", mcpauth.NotFound(guard))                // keep clients from looking for OAuth

	srv := &http.Server{Addr: "127.0.0.1:8421", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

// answer makes a tool that calls its caller by the name of the key.
func answer(greeting string) mcp.ToolHandlerFor[struct{}, any] {
	return func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		id, _ := keys.IdentityFrom(ctx)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: greeting + id.Name()}}}, nil, nil
	}
}
