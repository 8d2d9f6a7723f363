package proxycheck

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// claimedAddress is for documentation (RFC 5737): no client has it.
const claimedAddress = "192.0.2.77"

// farAddress is that of a client on the proxy's machine which is neither 127.0.0.1 nor ::1.
var farAddress = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// OtherAddresses are addresses that the client of this run does not have: the one that it claims,
// and those from which the proxy may call keyctl serve.
func (s *Subject) OtherAddresses(ctx context.Context) []netip.Prefix {
	out := []netip.Addr{netip.MustParseAddr(claimedAddress), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	for _, ip := range s.addresses(ctx) {
		if !isOwn(ip) && !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	var list []netip.Prefix
	for _, ip := range out {
		list = append(list, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return list
}

// addresses are those of the URL's host; none if they cannot be found out.
func (s *Subject) addresses(ctx context.Context) []netip.Addr {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap().WithZone("")
	}
	return found
}

// isLoopback reports whether the proxy is called on this machine's loopback interface.
func (s *Subject) isLoopback(ctx context.Context) bool {
	return slices.ContainsFunc(s.addresses(ctx), netip.Addr.IsLoopback)
}

// isOwn reports whether this machine has the address.
func isOwn(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil || ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap().WithZone("") == ip
	})
}
