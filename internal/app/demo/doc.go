// Package demo plays the life of one key on a machine's own loopback: a guarded MCP
// server, a real MCP client, and keyctl in processes of its own.
//
// [Once] tells the story as a transcript and checks every step of it: what it prints
// happened, or it stops there and returns an error. [Serve] sets up the same stage,
// prints commands to try, and leaves the rest to the reader.
//
// Both live in a temporary directory and on a free port, read no KEYCTL_ variable,
// and take everything away with them when they end. Neither prints a secret: the
// key is shown by its id.
//
// The package refuses to pretend. There is no stand-in for the store, the guard, the
// transport or the command: what breaks one of them breaks the demo.
package demo

import (
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// Keyctl is the command that the demo runs, and how its user calls it.
type Keyctl struct {
	Path  string // the program's file
	Shown string // what to type for it in a shell, such as keyctl or go run ./cmd/keyctl
}

// Options configures [Once] and [Serve]. Nil and the zero value are ready for use.
type Options struct {
	// Guarded puts the guard before the server; nil means mcpauth.Handler. Tests
	// break it to see the story fail.
	Guarded func(*middleware.Guard, *mcp.Server) http.Handler
}

func (o *Options) guarded() func(*middleware.Guard, *mcp.Server) http.Handler {
	if o == nil || o.Guarded == nil {
		return func(g *middleware.Guard, s *mcp.Server) http.Handler { return mcpauth.Handler(g, s, nil) }
	}
	return o.Guarded
}
