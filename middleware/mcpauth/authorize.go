package mcpauth

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// openMethods name nothing that a scope could be about, so every good key may use them.
// What the lists and subscriptions/listen tell is narrowed instead.
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

// authorize makes the receiving middleware: the one place where messages are judged,
// whichever transport they came by. It asks [keys.Identity.Allows] and nothing else.
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

// need tells what scope a message takes, and what the SDK would say if the thing that it
// names were not there. Nil means that every good key may send it. A scope that is no
// scope, as the empty one, is granted to nobody.
func need(method string, req mcp.Request) (scope string, unknown error) {
	switch r := req.(type) {
	case *mcp.CallToolRequest:
		return keys.ToolScope(r.Params.Name), invalidParams("unknown tool %q", r.Params.Name)
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

// count reports whether req is a call that was not counted yet: once, also where the
// middleware stands twice. What it notes in the context is the extra of the message, which
// other middleware keeps when it makes a request of its own from one. Lists ask for every
// name there is, and subscriptions and completions use nothing: those are not counted.
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

// CodeRateLimited is the code of the JSON-RPC error that answers a call over the key's
// rate limit. Its data is {"code": "rate_limited", "retry_after": seconds}, and its text
// says the seconds too, because a model is shown the text alone. Like the codes of calls
// that ended it is -31000 less the HTTP status, outside of what JSON-RPC and MCP keep for
// themselves.
const CodeRateLimited = -31429

// refusal is what a caller hears of d, by which his message was refused. What was not
// granted is unknown.
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
	return keys.PromptScope(name), invalidParams("unknown prompt %q", name)
}

func resource(uri string) (scope string, unknown error) {
	return keys.ResourceScope(uri), mcp.ResourceNotFoundError(uri)
}

// completion suggests values for a prompt's or a template's arguments, which tells of
// both, so it takes what using them takes.
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

// answer lets a message pass, with lists and subscriptions narrowed to what was granted.
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
		if c.identity.Allows(keys.ResourceScope(uri)) {
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
