package mcpauth

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// openMethods name nothing that a scope could be about; every good key may use them.
var openMethods = map[string]bool{
	"initialize":                       true,
	"ping":                             true,
	"server/discover":                  true,
	"logging/setLevel":                 true,
	"notifications/initialized":        true,
	"notifications/cancelled":          true,
	"notifications/progress":           true,
	"notifications/roots/list_changed": true,
}

// authorize is the receiving middleware: the one place where messages are judged,
// whichever transport they came by. It asks [keys.Identity.Allows] and nothing else.
func authorize(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		c, ok := callerOf(req)
		if !ok {
			return nil, errNobody
		}
		ctx = c.context(ctx)
		res, err := c.judge(method, req, func(req mcp.Request) (mcp.Result, error) { return next(ctx, method, req) })
		if err != nil {
			return nil, err
		}
		return private(res), nil
	}
}

// judge lets a message pass, narrows it to what was granted, or answers as if what it
// names did not exist.
func (c caller) judge(method string, req mcp.Request, next forward) (mcp.Result, error) {
	switch r := req.(type) {
	case *mcp.ListToolsRequest:
		return list(c, r, next, tools)
	case *mcp.ListPromptsRequest:
		return list(c, r, next, prompts)
	case *mcp.ListResourcesRequest:
		return list(c, r, next, resources)
	case *mcp.ListResourceTemplatesRequest:
		return list(c, r, next, templates)
	case *mcp.SubscriptionsListenRequest:
		return next(c.narrow(r))
	}
	if err := c.allowed(method, req); err != nil {
		return nil, err
	}
	return next(req)
}

// allowed returns nil, or what the SDK says about a thing that is not there.
func (c caller) allowed(method string, req mcp.Request) error {
	switch r := req.(type) {
	case *mcp.CallToolRequest:
		return c.tool(r.Params.Name)
	case *mcp.GetPromptRequest:
		return c.prompt(r.Params.Name)
	case *mcp.ReadResourceRequest:
		return c.resource(r.Params.URI)
	case *mcp.SubscribeRequest:
		return c.resource(r.Params.URI)
	case *mcp.UnsubscribeRequest:
		return c.resource(r.Params.URI)
	case *mcp.CompleteRequest:
		return c.completion(r.Params.Ref)
	}
	if openMethods[method] {
		return nil
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method not found: %q unsupported", method)}
}

func (c caller) tool(name string) error {
	if c.identity.Allows(keys.ToolScope(name)) {
		return nil
	}
	return invalidParams(fmt.Sprintf("unknown tool %q", name))
}

func (c caller) prompt(name string) error {
	if c.identity.Allows(keys.PromptScope(name)) {
		return nil
	}
	return invalidParams(fmt.Sprintf("unknown prompt %q", name))
}

func (c caller) resource(uri string) error {
	if c.identity.Allows(keys.ResourceScope(uri)) {
		return nil
	}
	return mcp.ResourceNotFoundError(uri)
}

// completion suggests values for a prompt's or a template's arguments, which tells of
// both, so it takes what using them takes.
func (c caller) completion(ref *mcp.CompleteReference) error {
	switch {
	case ref == nil:
		return invalidParams("invalid params: missing required 'ref' field")
	case ref.Type == "ref/prompt":
		return c.prompt(ref.Name)
	case ref.Type == "ref/resource":
		return c.resource(ref.URI)
	}
	return invalidParams("invalid params: unknown kind of reference")
}

// narrow takes the resources that were not granted out of a subscription, as the
// protocol provides: the acknowledgement names what was agreed to. The other
// notifications of that stream say that a list changed, and name nothing.
func (c caller) narrow(r *mcp.SubscriptionsListenRequest) *mcp.SubscriptionsListenRequest {
	if r.Params == nil || r.Params.Notifications == nil {
		return r // refused by the SDK
	}
	request, params, wanted := *r, *r.Params, *r.Params.Notifications
	wanted.ResourceSubscriptions = nil
	for _, uri := range r.Params.Notifications.ResourceSubscriptions {
		if c.resource(uri) == nil {
			wanted.ResourceSubscriptions = append(wanted.ResourceSubscriptions, uri)
		}
	}
	params.Notifications, request.Params = &wanted, &params
	return &request
}

var errNobody = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "authentication required"}

func invalidParams(message string) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: message}
}
