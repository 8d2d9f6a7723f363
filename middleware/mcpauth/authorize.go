package mcpauth

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// openMethods name nothing that a scope could be about, so every valid key may use them. The
// lists and subscriptions/listen are narrowed instead.
var openMethods = map[string]bool{
	"initialize":                       true,
	"ping":                             true,
	"server/discover":                  true,
	"logging/setLevel":                 true,
	"notifications/initialized":        true,
	"notifications/cancelled":          true,
	"notifications/progress":           true,
	"notifications/roots/list_changed": true,

	"tools/list":               true,
	"prompts/list":             true,
	"resources/list":           true,
	"resources/templates/list": true,
	listenMethod:               true,
}

// authorize returns the receiving middleware: the only place where messages are judged, for all
// transports. It uses only [keys.Identity.Allows].
func authorize(guard *middleware.Guard) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			c, ok := callerOf(req)
			if !ok {
				guard.LogRefusal(ctx, keys.CodeNoCredential, nil, slog.String("method", method))
				return nil, errNobody
			}
			ctx = c.context(ctx)
			scope, unknown := need(method, req)
			if unknown != nil {
				m := middleware.Message{Method: method, Scope: scope}
				ctx, m.Call = c.count(ctx, req)
				if d := c.by.guard.Judge(c.admitted, m); !d.Valid() {
					return nil, refusal(d, unknown)
				}
			}
			if _, ok := req.(*mcp.ServerRequest[*mcp.InitializeParams]); ok {
				if !c.visit.reserve() {
					return nil, errTooManySessions
				}
				defer c.visit.settle()
			}
			if method == listenMethod && !c.visit.listen() {
				return nil, errTooManyStreams
			}
			res, err := c.run(ctx, needsOf(req, scope), func(ctx context.Context) (mcp.Result, error) {
				return c.answer(req, func(req mcp.Request) (mcp.Result, error) { return next(ctx, method, req) })
			})
			if err != nil {
				return nil, err
			}
			if r, ok := req.(*mcp.ServerRequest[*mcp.InitializeParams]); ok {
				if init, ok := res.(*mcp.InitializeResult); ok {
					c.by.sessions.open(r.Session, c, offered(init.Capabilities))
				}
			}
			return private(res), nil
		}
	}
}

// need returns the scope that a message needs, and the SDK's error for a name that does not
// exist. An empty scope without an error means that every valid key may send it. An invalid
// scope, also an empty one, is never granted.
func need(method string, req mcp.Request) (scope string, unknown error) {
	switch r := req.(type) {
	case *mcp.CallToolRequest:
		return mcpscope.Tool(r.Params.Name), invalidParams("unknown tool %q", r.Params.Name)
	case *mcp.GetPromptRequest:
		return prompt(r.Params.Name)
	case *mcp.ReadResourceRequest:
		return resource(r.Params.URI)
	case *mcp.SubscribeRequest:
		return resource(r.Params.URI)
	case *mcp.UnsubscribeRequest:
		return resource(r.Params.URI)
	case *mcp.CompleteRequest:
		return completion(r.Params.Ref)
	}
	if openMethods[method] {
		return "", nil
	}
	return "", &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method not found: %q unsupported", method)}
}

// count reports whether req is a call that was not counted yet: it counts once, also if the
// middleware is installed twice. It notes that in the context under the message's extra, which
// other middleware keeps when it makes another request from it. Lists check every name there
// is, and subscriptions and completions use nothing: those are not counted.
func (c caller) count(ctx context.Context, req mcp.Request) (context.Context, bool) {
	switch req.(type) {
	case *mcp.CallToolRequest, *mcp.GetPromptRequest, *mcp.ReadResourceRequest:
	default:
		return ctx, false
	}
	message := req.GetExtra()
	if counted, _ := ctx.Value(countedKey{}).(*mcp.RequestExtra); counted == message {
		return ctx, false
	}
	return context.WithValue(ctx, countedKey{}, message), true
}

type countedKey struct{}

// CodeRateLimited is the code of the JSON-RPC error that answers a call over the key's rate
// limit. Its data is {"code": "rate_limited", "retry_after": seconds}, and its text also has
// the seconds, because a model sees only the text. Like the codes of calls that ended, it is
// -31000 minus the HTTP status, outside of the codes that JSON-RPC and MCP reserve.
const CodeRateLimited = -31429

// refusal is the error for a message that d refused. A name that was not granted is unknown.
func refusal(d keys.Decision, unknown error) error {
	seconds := max(1, int64(math.Ceil(d.RetryAfter.Seconds())))
	switch d.Code {
	case keys.CodeInsufficientScope:
		return unknown
	case keys.CodeRateLimited:
		return &jsonrpc.Error{
			Code: CodeRateLimited, Message: "Too many calls with this API key. " + middleware.TryAgain(d.RetryAfter),
			Data: fmt.Appendf(nil, `{"code":"rate_limited","retry_after":%d}`, seconds),
		}
	case keys.CodeUnavailable:
		return &jsonrpc.Error{
			Code: jsonrpc.CodeInternalError, Message: "API keys cannot be checked right now. " + middleware.TryAgain(d.RetryAfter),
			Data: fmt.Appendf(nil, `{"code":"unavailable","retry_after":%d}`, seconds),
		}
	}
	return errNobody
}

func prompt(name string) (scope string, unknown error) {
	return mcpscope.Prompt(name), invalidParams("unknown prompt %q", name)
}

func resource(uri string) (scope string, unknown error) {
	return mcpscope.Resource(uri), mcp.ResourceNotFoundError(uri)
}

// completion suggests values for the arguments of a prompt or template, which says something
// about it, so it needs the same scope as using it.
func completion(ref *mcp.CompleteReference) (scope string, unknown error) {
	switch {
	case ref == nil:
		return "", invalidParams("invalid params: missing required 'ref' field")
	case ref.Type == "ref/prompt":
		return prompt(ref.Name)
	case ref.Type == "ref/resource":
		return resource(ref.URI)
	}
	return "", invalidParams("invalid params: unknown kind of reference")
}

// answer passes a message on, with lists and subscriptions narrowed to what was granted.
func (c caller) answer(req mcp.Request, next forward) (mcp.Result, error) {
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
	return next(req)
}

// narrow removes the resources that were not granted from a subscription, as the protocol
// allows: the acknowledgement names what was accepted. The other notifications of that stream
// say that a list changed, and name nothing.
func (c caller) narrow(r *mcp.SubscriptionsListenRequest) *mcp.SubscriptionsListenRequest {
	if r.Params == nil || r.Params.Notifications == nil {
		return r // refused by the SDK
	}
	request, params, wanted := *r, *r.Params, *r.Params.Notifications
	wanted.ResourceSubscriptions = nil
	for _, uri := range r.Params.Notifications.ResourceSubscriptions {
		if c.identity.Allows(mcpscope.Resource(uri)) {
			wanted.ResourceSubscriptions = append(wanted.ResourceSubscriptions, uri)
		}
	}
	params.Notifications, request.Params = &wanted, &params
	return &request
}

var errNobody = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "authentication required"}

func invalidParams(message string, args ...any) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf(message, args...)}
}
