package mcpauth

import "github.com/modelcontextprotocol/go-sdk/mcp"

// private keeps shared caches from serving one key's answer to another.
func private(res mcp.Result) mcp.Result {
	const scope = "private"
	switch r := res.(type) { // copies, because a handler may hand out one result to many
	case *mcp.ListToolsResult:
		c := *r
		c.CacheScope = scope
		return &c
	case *mcp.ListPromptsResult:
		c := *r
		c.CacheScope = scope
		return &c
	case *mcp.ListResourcesResult:
		c := *r
		c.CacheScope = scope
		return &c
	case *mcp.ListResourceTemplatesResult:
		c := *r
		c.CacheScope = scope
		return &c
	case *mcp.ReadResourceResult:
		c := *r
		c.CacheScope = scope
		return &c
	case *mcp.DiscoverResult:
		c := *r
		c.CacheScope = scope
		return &c
	}
	return res
}
