package middleware

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const headerForwardedFor = "X-Forwarded-For"

// Limits on reading X-Forwarded-For: real chains of proxies are shorter, and so are addresses
// with brackets, zone and port.
const (
	maxForwarders = 32  // entries
	maxForwarded  = 128 // bytes of one
)

// proxies are the addresses that are trusted to name their client.
type proxies []netip.Prefix

// ParseProxy parses a range or a single address for [Options.TrustedProxies]. The error is a
// [*keys.InvalidError].
func ParseProxy(text string) (netip.Prefix, error) {
	p, err := keys.ParseAllowedIP(text)
	if err != nil {
		return p, invalidProxy("must be addresses or CIDR ranges, such as 10.0.0.7 or 10.0.0.0/24")
	}
	return p, validateProxy(p)
}

// validateProxy refuses a range that covers all addresses.
func validateProxy(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
		return invalidProxy("must be ranges such as ParseProxy returns")
	case p.Bits() == 0:
		return invalidProxy("must not cover all addresses, or any caller could claim any address; name only the proxies")
	}
	return nil
}

func invalidProxy(reason string) error {
	return &keys.InvalidError{Field: "trusted_proxies", Reason: reason}
}

func newProxies(trusted []netip.Prefix) (proxies, error) {
	var out proxies
	for _, p := range trusted {
		if err := validateProxy(p); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// clientIP is the client's address. The zero Addr means unknown, and is in no range. Call it
// before anything is removed from r.Header.
func (p proxies) clientIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	peer := plain(at.Addr())
	if !p.hold(peer) {
		return peer
	}
	return p.forwardedFor(r.Header[headerForwardedFor])
}

// forwardedFor walks from the entry of the nearest proxy towards entries that any caller may
// have written, and stops at the first that is not of a proxy; if all are, it returns the
// farthest. If a proxy sends no entry, or one that is not an address, the client is unknown: it
// must not be taken for the proxy, or a caller that makes the proxy drop the header (by naming
// it in Connection) would get the proxy's address.
func (p proxies) forwardedFor(lines []string) (ip netip.Addr) {
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var entry string
			rest, entry, more = lastEntry(rest)
			var ok bool
			if ip, ok = parseForwarded(entry); !ok || hops == maxForwarders {
				return netip.Addr{}
			}
			if !p.hold(ip) {
				return ip
			}
			hops++
		}
	}
	return ip
}

// lastEntry cuts the last element off a list. It looks for the comma only within the length of
// an entry; a longer one is not an address, and is the rest of the list.
func lastEntry(list string) (rest, entry string, more bool) {
	from := max(0, len(list)-maxForwarded)
	i := strings.LastIndexByte(list[from:], ',')
	if i < 0 {
		return "", list, false
	}
	return list[:from+i], list[from+i+1:], true
}

// parseForwarded parses an address as proxies write it: alone, in brackets, or with a port.
func parseForwarded(entry string) (netip.Addr, bool) {
	if len(entry) > maxForwarded {
		return netip.Addr{}, false
	}
	entry = strings.Trim(entry, " \t")
	if ip, err := netip.ParseAddr(entry); err == nil {
		return plain(ip), true
	}
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return plain(at.Addr()), true
	}
	inner, bracketed := strings.CutPrefix(entry, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	ip, err := netip.ParseAddr(inner)
	if !bracketed || !closed || err != nil || ip.Is4() {
		return netip.Addr{}, false
	}
	return plain(ip), true
}

// plain converts an address to the form that ranges and counts use: IPv4 within IPv6 becomes
// IPv4, and the zone, which only the local machine knows, is removed.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

func (p proxies) hold(ip netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}
