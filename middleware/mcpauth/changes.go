package mcpauth

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// offered is what a server's capabilities promise.
func offered(c *mcp.ServerCapabilities) mcpfront.Lists {
	if c == nil {
		return mcpfront.Lists{}
	}
	return mcpfront.Lists{
		Tools:     c.Tools != nil && c.Tools.ListChanged,
		Prompts:   c.Prompts != nil && c.Prompts.ListChanged,
		Resources: c.Resources != nil && c.Resources.ListChanged,
	}
}

// listener tells a session, or a subscription without one, of changed lists. subscription is
// its id, nil in a session. send skips our own middleware.
func listener(server *mcp.ServerSession, speaks func() *caller, wants mcpfront.Lists, subscription any, send mcp.MethodHandler) *mcpfront.Listener {
	var meta mcp.Meta // names the subscription that a notification belongs to
	if subscription != nil {
		meta = mcp.Meta{mcp.MetaKeySubscriptionID: subscription}
	}
	return &mcpfront.Listener{
		Guard: speaks().by.guard, Wants: wants,
		Speaks: func() context.Context { return speaks().admitted },
		Failed: func(recovered any) { speaks().logPanic(recovered) },
		Notify: func(list string) {
			switch list {
			case "tools":
				notify(server, send, "notifications/tools/list_changed", &mcp.ToolListChangedParams{Meta: meta})
			case "prompts":
				notify(server, send, "notifications/prompts/list_changed", &mcp.PromptListChangedParams{Meta: meta})
			case "resources":
				notify(server, send, "notifications/resources/list_changed", &mcp.ResourceListChangedParams{Meta: meta})
			}
		},
	}
}

// notify sends to a client. One that is not connected gets nothing, and asks again when it
// returns.
func notify[P mcp.Params](server *mcp.ServerSession, send mcp.MethodHandler, method string, params P) {
	_, _ = send(context.Background(), method, &mcp.ServerRequest[P]{Session: server, Params: params})
}
