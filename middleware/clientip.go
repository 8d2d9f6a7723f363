package middleware

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const headerForwardedFor = "X-Forwarded-For"

// Bounds of what is read of X-Forwarded-For: no chain of proxies is that long, and no
// address with brackets, zone and port.
const (
	maxForwarders = 32  // entries
	maxForwarded  = 128 // bytes of one
)

// proxies are the addresses that are believed about who called them.
type proxies []netip.Prefix

// ParseProxy reads a range or a single address for [Options.TrustedProxies]. The
// error is a [*keys.InvalidError].
func ParseProxy(text string) (netip.Prefix, error) {
	p, err := keys.ParseAllowedIP(text)
	if err != nil {
		return p, invalidProxy("must be addresses or CIDR ranges, such as 10.0.0.7 or 10.0.0.0/24")
	}
	return p, validateProxy(p)
}

// validateProxy refuses what would make a proxy of everybody.
func validateProxy(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
		return invalidProxy("must be ranges such as ParseProxy returns")
	case p.Bits() == 0:
		return invalidProxy("must not be everybody: then any caller could claim any address; name the proxies")
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

// clientIP is where r comes from. The zero Addr is nowhere that is known, and lies in
// no range. It must be asked before anything is removed from r.Header.
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

// forwardedFor walks from the entry that the nearest proxy wrote towards those that
// anybody may have written, and stops at the first that is not of a proxy. When all
// are, it is the farthest. A proxy that says nothing, or something that is no address,
// leaves the caller unknown: it is not the caller itself, or a caller who makes it
// drop the header (by naming it in Connection) would get its address.
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

// lastEntry cuts the last element off a list. It looks for the comma no further than
// an entry may be long; a longer one, which is no address, is the rest of the list.
func lastEntry(list string) (rest, entry string, more bool) {
	from := max(0, len(list)-maxForwarded)
	i := strings.LastIndexByte(list[from:], ',')
	if i < 0 {
		return "", list, false
	}
	return list[:from+i], list[from+i+1:], true
}

// parseForwarded reads an address as proxies write it: alone, in brackets, with a
// port.
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

// plain gives an address the one form in which ranges and counts know it: IPv4 within
// IPv6 is IPv4, and a zone is a matter of the machine that heard it.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

func (p proxies) hold(ip netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}
