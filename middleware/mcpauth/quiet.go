package mcpauth

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// NotFound answers everything with 404 and a JSON body, except a POST to /register. Mount it at
// "/" beside [Handler]: MCP clients that are refused look for an OAuth server under
// /.well-known/, and only a JSON 404 makes them all end that search. Some then register as a
// client at /register without having found one. They get an error of RFC 7591, whose sentence
// they show to their user: that this server takes API keys. NotFound reveals nothing else and
// needs no key. It logs like the refusals of guard; a nil guard logs nothing.
func NotFound(guard *middleware.Guard) http.Handler { return mcpfront.NotFound(guard) }
