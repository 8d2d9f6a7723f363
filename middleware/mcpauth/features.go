package mcpauth

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// feature gives access to the common parts of the SDK's types for one of the four lists. P and
// R are the params and the result, T is an entry.
type feature[P, R, T any] struct {
	method string
	cursor func(*P) *string
	page   func(*R) (entries *[]T, next *string)
	name   func(T) string           // unique; pages are in its order
	scope  func(name string) string // the scope to use the entry
}

var tools = feature[mcp.ListToolsParams, mcp.ListToolsResult, *mcp.Tool]{
	method: mcppolicy.Tools.Method,
	cursor: func(p *mcp.ListToolsParams) *string { return &p.Cursor },
	page:   func(r *mcp.ListToolsResult) (*[]*mcp.Tool, *string) { return &r.Tools, &r.NextCursor },
	name:   func(t *mcp.Tool) string { return t.Name },
	scope:  mcppolicy.Tools.Scope,
}

var prompts = feature[mcp.ListPromptsParams, mcp.ListPromptsResult, *mcp.Prompt]{
	method: mcppolicy.Prompts.Method,
	cursor: func(p *mcp.ListPromptsParams) *string { return &p.Cursor },
	page:   func(r *mcp.ListPromptsResult) (*[]*mcp.Prompt, *string) { return &r.Prompts, &r.NextCursor },
	name:   func(p *mcp.Prompt) string { return p.Name },
	scope:  mcppolicy.Prompts.Scope,
}

var resources = feature[mcp.ListResourcesParams, mcp.ListResourcesResult, *mcp.Resource]{
	method: mcppolicy.Resources.Method,
	cursor: func(p *mcp.ListResourcesParams) *string { return &p.Cursor },
	page:   func(r *mcp.ListResourcesResult) (*[]*mcp.Resource, *string) { return &r.Resources, &r.NextCursor },
	name:   func(r *mcp.Resource) string { return r.URI },
	scope:  mcppolicy.Resources.Scope,
}

var templates = feature[mcp.ListResourceTemplatesParams, mcp.ListResourceTemplatesResult, *mcp.ResourceTemplate]{
	method: mcppolicy.Templates.Method,
	cursor: func(p *mcp.ListResourceTemplatesParams) *string { return &p.Cursor },
	page: func(r *mcp.ListResourceTemplatesResult) (*[]*mcp.ResourceTemplate, *string) {
		return &r.ResourceTemplates, &r.NextCursor
	},
	name:  func(t *mcp.ResourceTemplate) string { return t.URITemplate },
	scope: mcppolicy.Templates.Scope,
}

type (
	paramsOf[P any] interface {
		*P
		mcp.Params
	}
	resultsOf[R any] interface {
		*R
		mcp.Result
	}
)

// list answers a list request with the entries that c may use. Other members of the result,
// such as ttlMs, are those of the server's first page.
func list[P, R, T any, PP paramsOf[P], RR resultsOf[R]](ctx context.Context, c *caller, req *mcp.ServerRequest[PP], next mcp.MethodHandler, f feature[P, R, T]) (mcp.Result, error) {
	var params P
	if req.Params != nil {
		params = *req.Params
	}
	var first *R
	fetch := func(cursor string) (page[T], error) {
		request, params := *req, params
		*f.cursor(&params), request.Params = cursor, &params
		res, err := next(ctx, f.method, &request)
		if err != nil {
			return page[T]{}, err
		}
		r, ok := res.(RR)
		if !ok {
			return page[T]{}, fmt.Errorf("mcpauth: a list came as %T", res)
		}
		if first == nil {
			first = r
		}
		entries, next := f.page(r)
		return page[T]{*entries, *next}, nil
	}
	may := func(name string) bool { return c.identity.Allows(f.scope(name)) }
	shown, err := visible(*f.cursor(&params), fetch, f.name, may)
	if err != nil {
		return nil, err
	}
	res := *first // a copy, because the server may hand out one result to many
	entries, cursor := f.page(&res)
	*entries, *cursor = shown.entries, shown.next
	return RR(&res), nil
}
