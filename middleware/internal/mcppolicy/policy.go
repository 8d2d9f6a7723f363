// Package mcppolicy says what a message of MCP needs: which scope, whether it is a call that
// counts, what a list shows, and what a client is told that is refused or whose call ended. The
// adapters mcpauth and mcphttp judge by it, so that they answer alike.
//
// It takes plain strings, which an adapter has read from a message, and it judges nothing:
// [middleware.Guard.Judge] does.
package mcppolicy

import (
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
)

// The methods that adapters treat in a way of their own.
const (
	Initialize = "initialize"
	Listen     = "subscriptions/listen"
)

// openMethods name nothing that a scope could be about, so every valid key may use them. The
// lists and subscriptions/listen are narrowed instead.
var openMethods = map[string]bool{
	Initialize:                         true,
	"ping":                             true,
	"server/discover":                  true,
	"logging/setLevel":                 true,
	"notifications/initialized":        true,
	"notifications/cancelled":          true,
	"notifications/progress":           true,
	"notifications/roots/list_changed": true,

	Tools.Method:     true,
	Prompts.Method:   true,
	Resources.Method: true,
	Templates.Method: true,
	Listen:           true,
}

// Open reports whether every valid key may use a method. If not, and the method names nothing,
// it is a [Method] without a scope.
func Open(method string) bool { return openMethods[method] }

// Counts reports whether a message with the method is a call. Lists check every name there is,
// and subscriptions and completions use nothing: those are not counted.
func Counts(method string) bool {
	return method == "tools/call" || method == "prompts/get" || method == "resources/read"
}

// List is one of the four lists.
type List struct {
	Method string                   // that asks for it
	Member string                   // of the result: its entries
	Name   string                   // the member of an entry that names it
	About  string                   // the first part of the scopes for its entries
	Scope  func(name string) string // the scope to use an entry
}

// The lists.
var (
	Tools     = List{"tools/list", "tools", "name", "tools", mcpscope.Tool}
	Prompts   = List{"prompts/list", "prompts", "name", "prompts", mcpscope.Prompt}
	Resources = List{"resources/list", "resources", "uri", "resources", mcpscope.Resource}
	Templates = List{"resources/templates/list", "resourceTemplates", "uriTemplate", "resources", mcpscope.Resource}
)

// Lists are all of them.
var Lists = []List{Tools, Prompts, Resources, Templates}

// Subject is the member of params that says what a method is about.
type Subject string

// The subjects; a Ref is an object.
const (
	None Subject = ""
	Name Subject = "name"
	URI  Subject = "uri"
	Ref  Subject = "ref"
)

// SubjectOf returns where a method names what it needs a scope for; None for another method.
func SubjectOf(method string) Subject {
	switch method {
	case "tools/call", "prompts/get":
		return Name
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return URI
	case "completion/complete":
		return Ref
	}
	return None
}

// Target is what a message is about: the scope that it needs, and what is said if the key does not
// grant it, as of a name that does not exist. The zero Target needs no scope.
type Target struct {
	Scope string // an invalid one, also an empty one, is never granted
	kind  kind
	name  string
}

// kind is what does not exist.
type kind int

const (
	nothing kind = iota
	tool
	prompt
	resource
	method
	reference     // a completion has none
	referenceKind // a completion has one of a kind that is not known
)

// Exists reports whether a scope is needed; otherwise every valid key may send the message.
func (t Target) Exists() bool { return t.kind != nothing }

// URI returns the resource that t is, if it is one.
func (t Target) URI() (uri string, ok bool) { return t.name, t.kind == resource }

// Unknown is the error for a target that does not exist.
func (t Target) Unknown() *Error {
	switch t.kind {
	case tool:
		return InvalidParams("unknown tool %q", t.name)
	case prompt:
		return InvalidParams("unknown prompt %q", t.name)
	case resource:
		return &Error{
			Code: CodeInvalidParams, Message: "Resource not found", Data: fmt.Appendf(nil, `{"uri":%s}`, mcpjson.Quote(t.name)),
		}
	case reference:
		return InvalidParams("invalid params: missing required 'ref' field")
	case referenceKind:
		return InvalidParams("invalid params: unknown kind of reference")
	}
	return &Error{Code: CodeMethodNotFound, Message: fmt.Sprintf("method not found: %q unsupported", t.name)}
}

// Need returns what a message about the subject needs. It is for methods with a [Name] or [URI].
func Need(method, subject string) Target {
	switch {
	case method == "tools/call":
		return Tool(subject)
	case SubjectOf(method) == URI:
		return Resource(subject)
	}
	return Prompt(subject)
}

// Tool is [Need] for a call of a tool.
func Tool(name string) Target { return Target{mcpscope.Tool(name), tool, name} }

// Prompt is [Need] for a prompt.
func Prompt(name string) Target { return Target{mcpscope.Prompt(name), prompt, name} }

// Resource is [Need] for a resource.
func Resource(uri string) Target { return Target{mcpscope.Resource(uri), resource, uri} }

// NoReference is [Need] for a completion without a reference.
func NoReference() Target { return Target{kind: reference} }

// Completion is [Need] for a completion: it suggests values for the arguments of a prompt or
// template, which says something about it, so it needs the same scope as using it. A kind that
// is not known has a scope that is never granted.
func Completion(kind, name, uri string) Target {
	switch kind {
	case "ref/prompt":
		return Prompt(name)
	case "ref/resource":
		return Resource(uri)
	}
	return Target{kind: referenceKind}
}

// Method is [Need] for a method that names nothing and is not open. Without a scope it is never
// granted.
func Method(name, scope string) Target { return Target{scope, method, name} }

// CheckCustom refuses methods that this package judges, as custom ones.
func CheckCustom(methods map[string]string) error {
	for method := range methods {
		if method == "" || Open(method) || SubjectOf(method) != None {
			return fmt.Errorf("the method %q is not a custom one", method)
		}
	}
	return nil
}
