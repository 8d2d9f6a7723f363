package mcpauth

import (
	"net/http"
	"strings"

	"github.com/mcpkeys/mcpkeys/middleware"
)

// NotFound answers everything with 404 and a JSON body. Mount it at "/" beside
// [Handler]: MCP clients that are refused look for an OAuth server under
// /.well-known/ and /register, and only a JSON 404 makes them all give up and show
// the refusal instead. It tells nothing and needs no guard.
func NotFound() http.Handler { return http.HandlerFunc(notFound) }

func notFound(w http.ResponseWriter, r *http.Request) { nothingHere.Write(w, r) }

var nothingHere = middleware.Problem{
	Status: http.StatusNotFound, Code: "no_route", Detail: "There is nothing here.",
}

// oauthPath holds where clients look, also below a path that the handler is mounted
// at.
func oauthPath(path string) bool {
	return strings.Contains(path, "/.well-known/") || path == "/register"
}
