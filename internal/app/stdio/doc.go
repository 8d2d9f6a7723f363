// Package stdio serves an MCP server that speaks on its standard input and output as streamable
// HTTP. [New] makes a [Backend], an [net/http.Handler]; [Backend.Close] ends its processes.
//
// The Backend trusts its caller: the key of a request is the one that a guard admitted, and a
// request without one is refused. Each session has a process of its own. In the protocol
// without sessions (2026-07-28) each key has one, which is never shared between keys. Messages
// pass byte for byte, except that ids are replaced where several clients share a process.
//
// It refuses to start a process as root, a message that is not strict JSON-RPC, and a session
// id that belongs to another key. The number of processes, the time they may be idle, and the
// memory of every queue are bounded.
//
// On Linux the program that runs a Backend becomes the parent of all processes that its MCP
// servers leave behind, and ends them. Such a program must not start other processes in sessions
// of their own (setsid).
// On other Unix systems only the process group of an MCP server is ended. Elsewhere New fails.
package stdio
