// Package demo shows the life of one key on loopback: a guarded MCP server that reads the key
// store, a second one that asks keyctl serve, a real MCP client, and keyctl as separate processes.
//
// [Once] runs all steps, prints and checks each, and stops with an error at the first step that
// fails. [Serve] starts the same server and prints commands to try.
//
// Both use a temporary directory and a free port, read no KEYCTL_ variable, and remove
// everything when they end. Neither prints a secret: a key is shown by its id.
//
// The package uses the real store, guard, transport and command, with no stand-ins: if one of
// them breaks, the demo fails.
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
	// Guard puts `keyctl guard` before the first server, which then has no guard of its own.
	Guard bool

	// Guarded puts the guard before the server; nil means mcpauth.Handler. Tests replace
	// it to make a step fail.
	Guarded func(*middleware.Guard, *mcp.Server) http.Handler
}

func (o *Options) guarded() func(*middleware.Guard, *mcp.Server) http.Handler {
	if o == nil || o.Guarded == nil {
		return func(g *middleware.Guard, s *mcp.Server) http.Handler { return mcpauth.Handler(g, s, nil) }
	}
	return o.Guarded
}
