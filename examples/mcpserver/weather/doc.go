// Package weather is a small MCP server to try mcpkeys with: weather stations whose
// readings callers record and read back. It invents nothing; a server without
// readings has no weather.
//
// Call [New] and serve the result, guarded by mcpauth or in any other way: nothing
// in this package knows of keys but the tool whoami, which asks who is calling.
//
// State lives in memory, is bounded, and ends with the process. Each server of New
// has its own.
package weather
