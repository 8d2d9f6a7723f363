// Package mcpscope makes the scopes of MCP from the names that servers choose. Tool, Prompt
// and Resource percent-encode every byte outside [A-Za-z0-9_.-], so that no name can add a
// segment, a second scope or a wildcard: these are scopes that a server requires. ToolPattern,
// PromptPattern and ResourcePattern make scopes that a key is granted, with wildcards.
// Package keys says what a scope grants.
package mcpscope

import (
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

const (
	toolPrefix     = "tools:"
	promptPrefix   = "prompts:"
	resourcePrefix = "resources:"
)

// Tool is the scope that calling the named tool requires. An empty name makes
// a scope that nothing grants.
func Tool(name string) string { return toolPrefix + encodeName(name, false) }

// Prompt is the scope that getting the named prompt requires.
func Prompt(name string) string { return promptPrefix + encodeName(name, false) }

// Resource is the scope that reading the resource requires. A URI with a dot
// segment (/../ and its encoded forms) makes a scope that nothing grants: a grant
// of file:///x/* must not reach file:///x/../y on a server that resolves it.
func Resource(uri string) string {
	if hasDotSegment(uri) {
		return resourcePrefix
	}
	return resourcePrefix + encodeName(uri, false)
}

// ToolPattern is the granted scope for a tool's name with wildcards. A comma in a pattern
// is not encoded, so that validation refuses it: it was meant as a list.
func ToolPattern(glob string) string { return toolPrefix + encodeName(glob, true) }

// PromptPattern is the granted scope for a prompt's name with wildcards.
func PromptPattern(glob string) string { return promptPrefix + encodeName(glob, true) }

// ResourcePattern is the granted scope for a URI with wildcards, such as
// file:///x/*. A * matches slashes too.
func ResourcePattern(glob string) string { return resourcePrefix + encodeName(glob, true) }

const upperHex = "0123456789ABCDEF"

func encodeName(name string, pattern bool) string {
	plain := func(c byte) bool {
		return c == '_' || c == '.' || c == '-' || (pattern && (c == '*' || c == ',')) || base62.Is(string(c))
	}
	n := 0
	for i := range len(name) {
		if !plain(name[i]) {
			n++
		}
	}
	if n == 0 {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 2*n)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// hasDotSegment finds "." and ".." between slashes of either kind, with the dots
// and slashes percent-encoded once or not.
func hasDotSegment(uri string) bool {
	if !strings.Contains(uri, ".") && !strings.Contains(uri, "%") {
		return false
	}
	plain := dotDecoder.Replace(uri)
	for segment := range strings.FieldsFuncSeq(plain, func(r rune) bool { return strings.ContainsRune(`/\?#`, r) }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

var dotDecoder = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`)
