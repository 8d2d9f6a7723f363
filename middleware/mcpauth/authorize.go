package mcpauth

import (
	"context"
	"log/slog"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
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
			call := &running{Shared: requestid.Shared{Context: ctx, Of: c}, caller: c}
			target := need(method, req)
			if target.Exists() {
				m := middleware.Message{Method: method, Scope: target.Scope, Call: call.count(method, req)}
				if d := c.by.guard.Judge(c.admitted, m); !d.Valid() {
					return nil, refusal(d, target)
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
			call.takes = mcppolicy.NeedsOf(method, target.Scope)
			res, err := c.run(call, next, method, req)
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

// need returns what a message needs.
func need(method string, req mcp.Request) mcppolicy.Target {
	switch r := req.(type) {
	case *mcp.CallToolRequest:
		return mcppolicy.Tool(r.Params.Name)
	case *mcp.GetPromptRequest:
		return mcppolicy.Prompt(r.Params.Name)
	case *mcp.ReadResourceRequest:
		return mcppolicy.Resource(r.Params.URI)
	case *mcp.SubscribeRequest:
		return mcppolicy.Resource(r.Params.URI)
	case *mcp.UnsubscribeRequest:
		return mcppolicy.Resource(r.Params.URI)
	case *mcp.CompleteRequest:
		if ref := r.Params.Ref; ref != nil {
			return mcppolicy.Completion(ref.Type, ref.Name, ref.URI)
		}
		return mcppolicy.NoReference()
	}
	if mcppolicy.Open(method) {
		return mcppolicy.Target{}
	}
	return mcppolicy.Method(method, "")
}

// count reports whether req is a call that was not counted yet: it counts once, also if the
// middleware is installed twice. It notes that under the message's extra, which other middleware
// keeps when it makes another request from it.
func (r *running) count(method string, req mcp.Request) bool {
	message := req.GetExtra()
	if outer := runningFrom(r.Context); outer != nil {
		r.counted = outer.counted
	}
	if !mcppolicy.Counts(method) || r.counted == message {
		return false
	}
	r.counted = message
	return true
}

// CodeRateLimited is the code of the JSON-RPC error that answers a call over the key's rate
// limit. Its data is {"code": "rate_limited", "retry_after": seconds}, and its text also has
// the seconds, because a model sees only the text. Like the codes of calls that ended, it is
// -31000 minus the HTTP status, outside of the codes that JSON-RPC and MCP reserve.
const CodeRateLimited = mcppolicy.CodeRateLimited

// refusal is the error for a message about t that d refused. For a resource it is the SDK's own,
// whose code depends on a setting of the SDK.
func refusal(d keys.Decision, t mcppolicy.Target) error {
	if uri, ok := t.URI(); ok && d.Code == keys.CodeInsufficientScope {
		return mcp.ResourceNotFoundError(uri)
	}
	return rpc(mcppolicy.Refusal(d, t))
}

// rpc is e as the SDK's error.
func rpc(e *mcppolicy.Error) error {
	return &jsonrpc.Error{Code: e.Code, Message: e.Message, Data: e.Data}
}

// answer passes a message on, with lists and subscriptions narrowed to what was granted.
func (c *caller) answer(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request) (mcp.Result, error) {
	switch r := req.(type) {
	case *mcp.ListToolsRequest:
		return list(ctx, c, r, next, tools)
	case *mcp.ListPromptsRequest:
		return list(ctx, c, r, next, prompts)
	case *mcp.ListResourcesRequest:
		return list(ctx, c, r, next, resources)
	case *mcp.ListResourceTemplatesRequest:
		return list(ctx, c, r, next, templates)
	case *mcp.SubscriptionsListenRequest:
		req = c.narrow(r)
	}
	return next(ctx, method, req)
}

// narrow removes the resources that were not granted from a subscription, as the protocol
// allows: the acknowledgement names what was accepted. The other notifications of that stream
// say that a list changed, and name nothing.
func (c *caller) narrow(r *mcp.SubscriptionsListenRequest) *mcp.SubscriptionsListenRequest {
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
