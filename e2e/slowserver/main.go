// Command slowserver is a guarded MCP server for the end-to-end tests, with a tool that
// tells of progress and then answers nothing by itself, wait, and one that answers at
// once, quick.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net"
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
	db := flag.String("db", "", "the key store")
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	audience := flag.String("audience", "", "this server's name")
	flag.Parse()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(*db, *addr, *audience, logger); err != nil {
		logger.Error("ended", slog.Any("error", err))
		os.Exit(1)
	}
}

func run(db, addr, audience string, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	st, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	guard := middleware.New(v, &middleware.Options{Audience: audience, Logger: logger})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mcpauth.Handler(guard, server(logger), nil), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	logger.Info("listening", "url", "http://"+listener.Addr().String()+"/mcp")
	if err := srv.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func server(logger *slog.Logger) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	schema := json.RawMessage(`{"type":"object"}`)
	s.AddTool(&mcp.Tool{Name: "wait", InputSchema: schema}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if token := req.Params.GetProgressToken(); token != nil {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: 1, Message: "under way"})
		}
		id, _ := keys.IdentityFrom(ctx)
		logger.InfoContext(ctx, "a call waits", "key", id.Name())
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s.AddTool(&mcp.Tool{Name: "quick", InputSchema: schema}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
	})
	return s
}
