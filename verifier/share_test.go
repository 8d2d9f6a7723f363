package verifier_test

import (
	"net/netip"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Keys with the same scopes, audience and addresses share them in memory. A program that
// changes what it got of one key changes nothing for this key or another.
func TestCallersCannotChangeWhatIsRemembered(t *testing.T) {
	b := newBench(t)
	req := admin.IssueRequest{
		Scopes: []string{"tools:a"}, Audience: []string{"weather"}, Metadata: map[string]string{"team": "a"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}
	req.Name = "one"
	_, first := b.issue(t, req)
	req.Name = "two"
	_, second := b.issue(t, req)
	good := verifier.Call{Audience: "weather", ClientIP: netip.MustParseAddr("192.0.2.1")}
	elsewhere := verifier.Call{Audience: "maps", ClientIP: good.ClientIP}
	outside := verifier.Call{Audience: "weather", ClientIP: netip.MustParseAddr("198.51.100.1")}
	b.want(t, second, good, keys.CodeValid)

	i := b.want(t, first, good, keys.CodeValid).Identity
	i.Scopes()[0], i.Audience()[0], i.AllowedIPs()[0] = "*", "maps", netip.MustParsePrefix("0.0.0.0/0")
	i.Metadata()["team"] = "b"
	b.want(t, first, elsewhere, keys.CodeWrongAudience).Lacks.Offered[0] = "maps"

	for _, token := range []string{first, second} {
		d := b.want(t, token, good, keys.CodeValid)
		if servers, ips := d.Identity.Audience(), d.Identity.AllowedIPs(); d.Identity.Scopes()[0] != "tools:a" || servers[0] != "weather" || ips[0] != netip.MustParsePrefix("192.0.2.0/24") {
			t.Errorf("got an identity with %q, %q and %v", d.Identity.Scopes(), servers, ips)
		}
		if d.Identity.Allows("tools:b") || !d.Identity.Allows("tools:a") || d.Identity.Metadata()["team"] != "a" {
			t.Errorf("got an identity with scopes %q and metadata %q", d.Identity.Scopes(), d.Identity.Metadata())
		}
		b.want(t, token, elsewhere, keys.CodeWrongAudience)
		b.want(t, token, outside, keys.CodeIPNotAllowed)
	}
}
