// Package weather is a small MCP server to try mcpkeys with: callers record readings of weather
// stations and read them back. A new server has no readings.
//
// Call [New] and serve the result, guarded by mcpauth or in another way. Only the tool whoami
// knows about keys: it says which key is calling.
//
// The readings are in memory, limited in number, and lost when the process ends. Each server
// of New has its own.
package weather
