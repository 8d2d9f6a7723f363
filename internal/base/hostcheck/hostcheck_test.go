package hostcheck_test

import (
	"net"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
)

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8421} }

// TestFit: without names, a server on loopback accepts loopback names, and another server any
// name; with names, each accepts those and its own address.
func TestFit(t *testing.T) {
	loopback, loopback6, inside := tcp("127.0.0.1"), tcp("::1"), tcp("10.0.0.5")
	socket := &net.UnixAddr{Net: "unix", Name: "/run/mcp.sock"}
	for _, tc := range []struct {
		name    string
		local   net.Addr
		allowed []string
		host    string
		want    bool
	}{
		{"localhost", loopback, nil, "localhost:8421", true},
		{"localhost without a port", loopback, nil, "localhost", true},
		{"another case", loopback, nil, "LocalHost:8421", true},
		{"a final dot", loopback, nil, "localhost.:8421", true},
		{"a port forward", loopback, nil, "localhost:9000", true},
		{"IPv4", loopback, nil, "127.0.0.1:8421", true},
		{"another loopback address", loopback, nil, "127.0.0.9", true},
		{"IPv6 to IPv4", loopback, nil, "[::1]:8421", true},
		{"IPv6 without a port", loopback6, nil, "[::1]", true},
		{"IPv4 as IPv6", loopback, nil, "[::ffff:127.0.0.1]:8421", true},
		{"a listener for both", tcp("::ffff:127.0.0.1"), nil, "evil.example", false},
		{"a page's name", loopback, nil, "evil.example:8421", false},
		{"a page's name, IPv6", loopback6, nil, "evil.example:8421", false},
		{"begins like loopback", loopback, nil, "localhost.evil.example", false},
		{"begins like an address", loopback, nil, "127.0.0.1.evil.example", false},
		{"ends like loopback", loopback, nil, "evil.localhost", false},
		{"no host", loopback, nil, "", false},
		{"only a port", loopback, nil, ":8421", false},
		{"another address", loopback, nil, "10.0.0.5:8421", false},
		{"the unspecified address", loopback, nil, "0.0.0.0:8421", false},
		{"a short address", loopback, nil, "127.1:8421", false},
		{"two ports", loopback, nil, "localhost:1:2", false},

		{"any name beyond loopback", inside, nil, "mcp.example.com", true},
		{"no name beyond loopback", inside, nil, "", true},
		{"a socket", socket, nil, "anything", true},
		{"no address", nil, nil, "anything", true},

		{"an allowed name", loopback, []string{"mcp.example.com"}, "mcp.example.com", true},
		{"an allowed name with a port", loopback, []string{"mcp.example.com"}, "MCP.example.com:443", true},
		{"loopback beside a name", loopback, []string{"mcp.example.com"}, "localhost:8421", true},
		{"below an allowed name", loopback, []string{"example.com"}, "mcp.example.com", false},
		{"not allowed", loopback, []string{"mcp.example.com"}, "evil.example", false},
		{"not allowed beyond loopback", inside, []string{"mcp.example.com"}, "evil.example", false},
		{"not allowed on a socket", socket, []string{"mcp.example.com"}, "evil.example", false},
		{"localhost beyond loopback", inside, []string{"mcp.example.com"}, "localhost", false},
		{"its own address", inside, []string{"mcp.example.com"}, "10.0.0.5:8421", true},
		{"an address of another", inside, []string{"mcp.example.com"}, "10.0.0.6:8421", false},
		{"an allowed address", inside, []string{"192.0.2.7", "[2001:db8:0::7]"}, "[2001:db8::7]:443", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			names, err := hostcheck.New(tc.allowed)
			if err != nil {
				t.Fatal(err)
			}
			if got := names.Fit(tc.local, tc.host); got != tc.want {
				t.Errorf("Fit(%v, %q) with %q: got %v, want %v", tc.local, tc.host, tc.allowed, got, tc.want)
			}
		})
	}
}

// TestNewRefuses: names that would never match, or match more than they seem to, are refused.
func TestNewRefuses(t *testing.T) {
	for _, name := range []string{
		"", ".", "*", "*.example.com", "https://mcp.example.com", "mcp.example.com:443", "mcp.example.com/", "a,b", " a", "a b",
		"[::1]:8421", "fe80::1%eth0", "ä.example", ":443", "user@host",
	} {
		if _, err := hostcheck.New([]string{"fine.example", name}); err == nil {
			t.Errorf("New(%q): no error", name)
		}
	}
	if _, err := hostcheck.New([]string{"Mcp.Example.com.", "upstream_1", "10.0.0.5", "::1", "[::1]"}); err != nil {
		t.Errorf("New: got %v", err)
	}
}

// An admin key must not be sent unencrypted over the network because an address looks like this
// machine's.
func TestThisMachine(t *testing.T) {
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"} {
		if !hostcheck.ThisMachine(host) {
			t.Errorf("ThisMachine(%q): got false, want true", host)
		}
	}
	for _, host := range []string{"", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433", "0.0.0.0", "::", "10.0.0.5", "::1%eth0", "LOCALHOST.", "keys.example"} {
		if hostcheck.ThisMachine(host) {
			t.Errorf("ThisMachine(%q): got true, want false", host)
		}
	}
}

func TestOnLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": false, "::": false, "10.0.0.5": false} {
		if got := hostcheck.OnLoopback(tcp(address)); got != want {
			t.Errorf("OnLoopback(%s): got %v, want %v", address, got, want)
		}
	}
	if hostcheck.OnLoopback(nil) || hostcheck.OnLoopback(&net.UnixAddr{Name: "/run/x", Net: "unix"}) {
		t.Error("OnLoopback: an address without IP is on loopback")
	}
}
