// Command mcpgo is an MCP server made with mark3labs/mcp-go and guarded by mcphttp: a caller lists
// and calls the tools that its key grants.
//
//	go run ./examples/mcpgo --db mcpkeys.db
//	keyctl issue agent --tool hello --out-file agent.key
//
// Clients call http://127.0.0.1:8423/mcp, see docs/clients.md.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpkeys/mcpkeys/examples/keysource"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	source := keysource.Flags()
	audience := flag.String("audience", "", "this server's name; if empty, only keys without an audience are accepted")
	flag.Parse()

	v, closeSource, err := source.Open(*audience)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource() }() // writes the usage counts of the last seconds
	guard := middleware.New(v, &middleware.Options{Audience: *audience, Logger: slog.Default()})
	srv := &http.Server{Addr: "127.0.0.1:8423", Handler: handler(guard), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("listening on http://%s/mcp", srv.Addr)
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ending)
}

func handler(guard *middleware.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcphttp.Handler(guard, server.NewStreamableHTTPServer(tools(), server.WithStateful(true)), nil))
	mux.Handle("/", mcphttp.NotFound(guard)) // keep clients from looking for OAuth
	return mux
}

// tools is a server that knows nothing of keys, except that hello greets its caller.
func tools() *server.MCPServer {
	s := server.NewMCPServer("mcpgo", "1", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("hello"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		id, _ := keys.IdentityFrom(ctx)
		return mcp.NewToolResultText("Hello, " + id.Name() + "."), nil
	})
	s.AddTool(mcp.NewTool("time"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(time.Now().UTC().Format(time.RFC3339)), nil
	})
	return s
}
