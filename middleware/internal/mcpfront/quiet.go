package mcpfront

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// NotFound is documented as mcpauth.NotFound. A nil guard logs nothing.
func NotFound(guard *middleware.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noOAuth(w, guard.Refused(r, keys.Code(nothingHere.Code)))
	})
}

func noOAuth(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == registerPath {
		writeNoRegistration(w, r)
		return
	}
	nothingHere.Write(w, r)
}

var nothingHere = middleware.Problem{
	Status: http.StatusNotFound, Code: "no_route", Detail: "Path not found.",
}

const registerPath = "/register"

// writeNoRegistration refuses a client registration, see RFC 7591, section 3.2.2.
func writeNoRegistration(w http.ResponseWriter, r *http.Request) {
	body, _ := json.Marshal(struct { // strings: nothing that could fail
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{
		"invalid_client_metadata",
		"This server takes API keys and has no OAuth. Send a valid API key as Authorization: Bearer KEY; if you sent one, it was not accepted.",
	})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if id := requestid.From(r.Context()); id != "" {
		h.Set("X-Request-Id", id)
	}
	middleware.HurryBody(w, r)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(body)
}

// oauthPath reports whether clients look for OAuth at path, also below a path at which the
// handler is mounted.
func oauthPath(path string) bool {
	return strings.Contains(path, "/.well-known/") || path == registerPath
}
