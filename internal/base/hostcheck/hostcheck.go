// Package hostcheck decides which Host header a server accepts. Web pages can reach a server on
// this machine or in this network through their own name that they make resolve to its address
// (DNS rebinding). Such a request carries the page's name as its Host.
//
// Call [New] with the names that the operator allows, then [Names.Fit] for each request.
// [ThisMachine] and [OnLoopback] report whether plain HTTP stays on this machine.
//
// The package does not read requests or write answers, and it has no patterns: a name is
// allowed exactly as written.
package hostcheck

import (
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Names are the names and addresses, in lower case and without ports, that an operator
// allows. The zero Names allows none.
type Names map[string]bool

// New parses allowed, and refuses names that no request could carry.
func New(allowed []string) (Names, error) {
	names := make(Names, len(allowed))
	for _, text := range allowed {
		name := bare(text)
		if !plain(name) || name != strings.TrimSuffix(strings.ToLower(strings.Trim(text, "[]")), ".") {
			return nil, errors.New("must be host names or IP addresses without a scheme, port or wildcard, such as mcp.example.com")
		}
		names[key(name)] = true
	}
	return names, nil
}

// Fit reports whether a request that names host and arrived at the address local may be
// answered:
//
//   - a name in n always,
//   - the address local itself always: no page has a number as its name,
//   - localhost and other loopback addresses if local is on loopback,
//   - any other name only if n is empty and local is not on loopback.
//
// A nil local, and one without an IP address such as a Unix socket's, is not on loopback.
// Ports are not compared: they differ behind a port forward, and a page cannot choose its
// Host by them.
func (n Names) Fit(local net.Addr, host string) bool {
	host = key(bare(host))
	if n[host] {
		return true
	}
	ip, ok := parse(host)
	at := address(local)
	if ok && ip == at {
		return true
	}
	if at.IsLoopback() {
		return ThisMachine(host)
	}
	return len(n) == 0
}

// ThisMachine reports whether a host, without its port, is only reachable from this machine. It
// does not ask a resolver: the only name that counts is localhost.
func ThisMachine(host string) bool {
	ip, ok := parse(host)
	return strings.EqualFold(host, "localhost") || ok && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

// OnLoopback reports whether only this machine can reach a listener at local.
func OnLoopback(local net.Addr) bool { return address(local).IsLoopback() }

// bare returns a Host without its port, brackets and final dot, in lower case.
func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// key writes an address in its canonical form, and leaves a name unchanged.
func key(name string) string {
	if ip, ok := parse(name); ok {
		return ip.Unmap().String()
	}
	return name
}

// parse returns the address that host is, if it is one. Most hosts are names: an address has a
// colon or ends with a digit, and for others no error is made.
func parse(host string) (ip netip.Addr, ok bool) {
	if host == "" || (host[len(host)-1] < '0' || host[len(host)-1] > '9') && strings.IndexByte(host, ':') < 0 {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(host)
	return ip, err == nil
}

// address is the IP address of local, if it has one.
func address(local net.Addr) netip.Addr {
	if local == nil {
		return netip.Addr{}
	}
	if tcp, ok := local.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// plain reports whether name has only characters of names and addresses.
func plain(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return !strings.Contains(name, "%")
	}
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '-' && r != '.' && r != '_'
	}) < 0
}
