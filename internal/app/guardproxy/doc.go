// Package guardproxy is `keyctl guard`: it guards MCP servers without a line of their code. A
// request whose key is valid is judged by package mcphttp and passed on, to an MCP server over
// HTTP or to a program that speaks on standard input and output (package stdio).
//
// Call [Run]; it returns some time after its context ends. [ReadConfig] reads several servers from
// a file; each of them has a path, /NAME/mcp, and an audience.
//
// It refuses what would let callers go around it: an MCP server on another machine that checks no
// credential, and a program that can read what the guard protects, unless Server.SameUser says
// that this is a trial. Package listening refuses plain HTTP beyond this machine.
package guardproxy
