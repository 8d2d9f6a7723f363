package mcpauth

import (
	"net/http"
	"strings"

	"github.com/mcpkeys/mcpkeys/middleware"
)

// NotFound answers everything with 404 and a JSON body. Mount it at "/" beside
// [Handler]: MCP clients that are refused look for an OAuth server under
// /.well-known/ and /register, and only a JSON 404 makes them all give up and show
// the refusal instead. It tells nothing, asks for no key, and is logged as guard logs
// its refusals; a nil guard logs nothing.
func NotFound(guard *middleware.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { guard.Refuse(w, r, nothingHere) })
}

var nothingHere = middleware.Problem{
	Status: http.StatusNotFound, Code: "no_route", Detail: "There is nothing here.",
}

// oauthPath holds where clients look, also below a path that the handler is mounted
// at.
func oauthPath(path string) bool {
	return strings.Contains(path, "/.well-known/") || path == "/register"
}
