package mcpauth

import (
	"context"
	"log/slog"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// authorize returns the receiving middleware: the only place where messages are judged, for all
// transports. It uses only [keys.Identity.Allows].
func authorize(guard *middleware.Guard) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			c, ok := callerOf(req)
			if !ok {
				guard.LogRefusal(ctx, keys.CodeNoCredential, nil, slog.String("method", method))
				return nil, rpc(mcppolicy.ErrUnauthenticated)
			}
			ctx = c.context(ctx)
			scope, unknown := need(method, req)
			if unknown != nil {
				m := middleware.Message{Method: method, Scope: scope}
				ctx, m.Call = c.count(ctx, method, req)
				if d := c.by.guard.Judge(c.admitted, m); !d.Valid() {
					return nil, refusal(d, unknown)
				}
			}
			if _, ok := req.(*mcp.ServerRequest[*mcp.InitializeParams]); ok {
				if !c.visit.Reserve() {
					return nil, rpc(mcpfront.ErrTooManySessions)
				}
				defer c.visit.Settle()
			}
			if method == mcppolicy.Listen && !c.visit.Listen() {
				return nil, rpc(mcpfront.ErrTooManyStreams)
			}
			res, err := c.run(ctx, mcppolicy.NeedsOf(method, scope), func(ctx context.Context) (mcp.Result, error) {
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
		return told(mcppolicy.Tool(r.Params.Name))
	case *mcp.GetPromptRequest:
		return told(mcppolicy.Prompt(r.Params.Name))
	case *mcp.ReadResourceRequest:
		return resource(r.Params.URI)
	case *mcp.SubscribeRequest:
		return resource(r.Params.URI)
	case *mcp.UnsubscribeRequest:
		return resource(r.Params.URI)
	case *mcp.CompleteRequest:
		return completion(r.Params.Ref)
	}
	if mcppolicy.Open(method) {
		return "", nil
	}
	return "", rpc(mcppolicy.UnknownMethod(method))
}

// count reports whether req is a call that was not counted yet: it counts once, also if the
// middleware is installed twice. It notes that in the context under the message's extra, which
// other middleware keeps when it makes another request from it.
func (c caller) count(ctx context.Context, method string, req mcp.Request) (context.Context, bool) {
	if !mcppolicy.Counts(method) {
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
const CodeRateLimited = mcppolicy.CodeRateLimited

// refusal is the error for a message that d refused.
func refusal(d keys.Decision, unknown error) error {
	if d.Code == keys.CodeInsufficientScope {
		return unknown
	}
	return rpc(mcppolicy.Refusal(d, nil))
}

// rpc is e as the SDK's error.
func rpc(e *mcppolicy.Error) error {
	return &jsonrpc.Error{Code: e.Code, Message: e.Message, Data: e.Data}
}

func told(scope string, unknown *mcppolicy.Error) (string, error) { return scope, rpc(unknown) }

// resource has the SDK's own error, whose code depends on a setting of the SDK.
func resource(uri string) (scope string, unknown error) {
	scope, _ = mcppolicy.Resource(uri)
	return scope, mcp.ResourceNotFoundError(uri)
}

func completion(ref *mcp.CompleteReference) (scope string, unknown error) {
	switch {
	case ref == nil:
		return "", rpc(mcppolicy.ErrNoReference)
	case ref.Type == "ref/resource":
		return resource(ref.URI)
	}
	return told(mcppolicy.Completion(ref.Type, ref.Name, ref.URI))
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
