package guardproxy

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
)

// credential is a header that the guard adds to each request, for an upstream that accepts only
// requests with it. Its file is read again when it changes; if that fails, the header of before
// stays in use.
type credential struct {
	path   string
	file   *infile.Current[header]
	logger *slog.Logger
	limit  loglimit.Limiter
}

type header struct{ name, value string }

// maxHeaderFile is the size of the file, in bytes.
const maxHeaderFile = 16 << 10

var errHeaderFile = &keys.InvalidError{
	Field:  fieldHeaderFile,
	Reason: "must be a regular file that this user may read, with one line: the name of a header, a colon and its value, such as Authorization: Bearer SECRET",
}

func newCredential(path string, logger *slog.Logger) (*credential, error) {
	c := &credential{
		path: path, file: infile.NewCurrent(path, maxHeaderFile+1, parseHeader), logger: logger,
		limit: loglimit.Limiter{Message: "more requests with the header of before"},
	}
	if _, _, err := c.file.Get(); err != nil {
		return nil, errHeaderFile
	}
	return c, nil
}

func parseHeader(text []byte) (header, error) {
	name, value, ok := strings.Cut(strings.TrimRight(string(text), "\r\n"), ":")
	value = strings.Trim(value, " \t")
	if len(text) > maxHeaderFile || !ok || name == "" || value == "" || strings.ContainsFunc(name, notInName) || strings.ContainsFunc(value, notInValue) || reserved(name) {
		return header{}, errHeaderFile
	}
	return header{http.CanonicalHeaderKey(name), value}, nil
}

func notInName(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '-' && r != '_'
}

func notInValue(r rune) bool { return r < ' ' || r > '~' }

// reserved reports whether a header belongs to the connection, to the protocol or to the guard.
func reserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	switch name {
	case "Host", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Accept", "Accept-Encoding", "X-Request-Id":
		return true
	}
	return strings.HasPrefix(name, "Mcp-") || idheader.Is(name)
}

// set adds the header to h.
func (c *credential) set(ctx context.Context, h http.Header) {
	now, _, err := c.file.Get()
	if err != nil && c.limit.Lets(loglimit.Kind{}, c.logger) {
		c.logger.LogAttrs(ctx, slog.LevelError, "the file with the header for the MCP server cannot be used; the header of before stays in use",
			slog.String("file", c.path))
	}
	h[now.name] = []string{now.value}
}
