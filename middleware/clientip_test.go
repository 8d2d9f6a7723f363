package middleware_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
)

const unknownIP = ""

func ranges(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		p, err := middleware.ParseProxy(text)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
}

// loggedIP is the client's address according to the guard, which logs it with a refusal.
func loggedIP(t *testing.T, trusted []netip.Prefix, r *http.Request) string {
	t.Helper()
	var log strings.Builder
	guard := guardtest.NewKeyring(t).Guard(&middleware.Options{Logger: guardtest.Logger(&log), TrustedProxies: trusted})
	if got := guardtest.StatusOf(guard.Require()(ok), r); got != http.StatusUnauthorized {
		t.Fatalf("status: got %d, want 401", got)
	}
	var line struct {
		RemoteIP string `json:"remote_ip"`
	}
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
		t.Fatalf("log: %v", err)
	}
	return line.RemoteIP
}

func TestClientIP(t *testing.T) {
	trusted := ranges("10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48")
	for name, c := range map[string]struct {
		remote string
		lines  []string
		want   string
	}{
		"no proxy":                       {"198.51.100.7:1", nil, "198.51.100.7"},
		"no proxy, and a claim":          {"198.51.100.7:1", []string{"10.0.0.1"}, "198.51.100.7"},
		"no proxy, mapped":               {"[::ffff:198.51.100.7]:1", nil, "198.51.100.7"},
		"no proxy, zone":                 {"[fe80::1%eth0]:1", nil, "fe80::1"},
		"no address":                     {"@", []string{"198.51.100.7"}, unknownIP},
		"one proxy":                      {"10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"mapped proxy":                   {"[::ffff:10.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"IPv6 proxy":                     {"[2001:db8:1::2]:1", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		"two proxies":                    {"10.0.0.1:1", []string{"198.51.100.7, 192.0.2.1"}, "198.51.100.7"},
		"a claim before it":              {"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		"a claim on a line of its own":   {"10.0.0.1:1", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		"lines in order":                 {"10.0.0.1:1", []string{"198.51.100.7", "192.0.2.1, 10.2.3.4"}, "198.51.100.7"},
		"a proxy's own call":             {"10.0.0.1:1", []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		"with a port":                    {"10.0.0.1:1", []string{"198.51.100.7:5678"}, "198.51.100.7"},
		"brackets":                       {"10.0.0.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"brackets and port":              {"10.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		"zone":                           {"10.0.0.1:1", []string{"[fe80::1%eth0]:443"}, "fe80::1"},
		"mapped":                         {"10.0.0.1:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"mapped, hexadecimal":            {"10.0.0.1:1", []string{"[::ffff:c633:6407]:1"}, "198.51.100.7"},
		"mapped proxy in the list":       {"10.0.0.1:1", []string{"198.51.100.7,::ffff:10.0.0.2"}, "198.51.100.7"},
		"spaces and tabs":                {"10.0.0.1:1", []string{"  203.0.113.9 ,\t198.51.100.7\t "}, "198.51.100.7"},
		"garbled":                        {"10.0.0.1:1", []string{"198.51.100.7, x"}, unknownIP},
		"garbled behind a good one":      {"10.0.0.1:1", []string{"x, 198.51.100.7"}, "198.51.100.7"},
		"garbled behind a proxy":         {"10.0.0.1:1", []string{"198.51.100.7, x, 10.0.0.2"}, unknownIP},
		"unknown, as the draft has it":   {"10.0.0.1:1", []string{"unknown"}, unknownIP},
		"empty":                          {"10.0.0.1:1", []string{""}, unknownIP},
		"empty element":                  {"10.0.0.1:1", []string{"198.51.100.7,"}, unknownIP},
		"leading zeros":                  {"10.0.0.1:1", []string{"198.051.100.7"}, unknownIP},
		"IPv4 in brackets":               {"10.0.0.1:1", []string{"[198.51.100.7]"}, unknownIP},
		"half a bracket":                 {"10.0.0.1:1", []string{"[2001:db8::1"}, unknownIP},
		"the other half":                 {"10.0.0.1:1", []string{"2001:db8::1]"}, unknownIP},
		"quotes":                         {"10.0.0.1:1", []string{`"198.51.100.7"`}, unknownIP},
		"port too large":                 {"10.0.0.1:1", []string{"198.51.100.7:65536"}, unknownIP},
		"an entry that is too long":      {"10.0.0.1:1", []string{strings.Repeat(" ", 200) + "198.51.100.7"}, unknownIP},
		"a proxy that says nothing":      {"10.0.0.1:1", nil, unknownIP},
		"more proxies than there are":    {"10.0.0.1:1", []string{"198.51.100.7" + strings.Repeat(",10.0.0.2", 32)}, unknownIP},
		"as many proxies as there are":   {"10.0.0.1:1", []string{"198.51.100.7" + strings.Repeat(",10.0.0.2", 31)}, "198.51.100.7"},
		"as many, on lines of their own": {"10.0.0.1:1", append([]string{"198.51.100.7"}, slices.Repeat([]string{"10.0.0.2"}, 31)...), "198.51.100.7"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		if c.lines != nil {
			r.Header["X-Forwarded-For"] = c.lines
		}
		if got := loggedIP(t, trusted, r); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// Attack A12: behind a trusted proxy, a caller can still write the beginning of
// X-Forwarded-For, and headers that other products read. The proxy's own entry, the last one,
// decides at every adapter. No other header is read.
func TestA12OnlyTheProxysWordCounts(t *testing.T) {
	k := guardtest.NewKeyring(t)
	bound, _ := k.Issue(admin.IssueRequest{AllowedIPs: ranges("203.0.113.0/24")})
	guard := k.Guard(&middleware.Options{TrustedProxies: ranges("10.0.0.0/24")})
	for _, c := range []struct {
		from      string
		forwarded []string
		want      int
	}{
		{"10.0.0.1:1", []string{"203.0.113.5"}, 200},
		{"10.0.0.1:1", []string{"198.51.100.9, 203.0.113.5"}, 200},
		{"10.0.0.1:1", []string{"203.0.113.5, 198.51.100.9"}, 403},
		{"10.0.0.1:1", []string{"203.0.113.5", "198.51.100.9"}, 403},
		{"10.0.0.1:1", []string{"203.0.113.5, 198.51.100.9, 10.0.0.2"}, 403},
		{"10.0.0.1:1", []string{"203.0.113.5, not-an-address"}, 403},
		{"10.0.0.1:1", nil, 403},
		{"10.0.1.1:1", []string{"203.0.113.5"}, 403}, // not a trusted proxy
		{"198.51.100.9:1", []string{"203.0.113.5"}, 403},
		{"203.0.113.5:1", []string{"198.51.100.9"}, 200},
		{"@", []string{"203.0.113.5"}, 403},
	} {
		for name, h := range adapters(guard) {
			r := post("X-API-Key", bound)
			r.RemoteAddr = c.from
			for _, other := range []string{"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X_forwarded_for", "X-Envoy-External-Address"} {
				r.Header[other] = []string{"203.0.113.5"}
			}
			r.Header["Forwarded"] = []string{"for=203.0.113.5"}
			if c.forwarded != nil {
				r.Header["X-Forwarded-For"] = c.forwarded
			}
			if got := guardtest.StatusOf(h, r); got != c.want {
				t.Errorf("%s from %s with %q: got %d, want %d", name, c.from, c.forwarded, got, c.want)
			}
		}
	}
}

// Attack A12, two ways to look like the proxy itself, whose address many keys allow: make the
// proxy drop the header (Connection: X-Forwarded-For), or make the guard drop it, by writing
// something that looks like a key into it.
func TestA12CallersAreNotTheirProxy(t *testing.T) {
	k := guardtest.NewKeyring(t)
	inside, _ := k.Issue(admin.IssueRequest{AllowedIPs: ranges("10.0.0.0/24")})
	outside, _ := k.Issue(admin.IssueRequest{AllowedIPs: ranges("198.51.100.9")})
	guard := k.Guard(&middleware.Options{TrustedProxies: ranges("10.0.0.0/24")})
	for name, c := range map[string]struct {
		forwarded []string
		outside   int
	}{
		"dropped":                  {nil, 403},
		"with a key":               {[]string{inside + ", 198.51.100.9"}, 200},
		"with a key, on two lines": {[]string{inside, "198.51.100.9"}, 200},
	} {
		for adapter, h := range adapters(guard) {
			for token, want := range map[string]int{inside: 403, outside: c.outside} {
				r := post("X-API-Key", token)
				r.RemoteAddr = "10.0.0.1:1"
				r.Header["X-Forwarded-For"] = c.forwarded
				if got := guardtest.StatusOf(h, r); got != want {
					t.Errorf("%s, %s: got %d, want %d", adapter, name, got, want)
				}
			}
		}
	}
}

// Attack A22: a caller that writes its address in several forms counts as several callers
// wherever the text is compared.
func TestA22MappedTwinsAreOneAddress(t *testing.T) {
	k := guardtest.NewKeyring(t)
	bound, _ := k.Issue(admin.IssueRequest{AllowedIPs: ranges("203.0.113.5")})
	guard := k.Guard(&middleware.Options{TrustedProxies: ranges("::ffff:10.0.0.0/120")})
	for _, twin := range []string{
		"203.0.113.5", "::ffff:203.0.113.5", "::ffff:cb00:7105", "0:0:0:0:0:ffff:203.0.113.5", "[::FFFF:203.0.113.5]:80", "::ffff:203.0.113.5%1",
	} {
		for _, proxy := range []string{"10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[::ffff:a00:1%eth0]:1"} {
			r := post("X-API-Key", bound)
			r.RemoteAddr = proxy
			r.Header["X-Forwarded-For"] = []string{twin}
			if got := guardtest.StatusOf(guard.Require()(ok), r); got != http.StatusOK {
				t.Errorf("%s by %s: got %d, want 200", twin, proxy, got)
			}
		}
	}
}

// Attack A22: a header as large as the server allows. Nothing of it is copied, and only its end
// is read.
func TestA22HugeForwardingHeader(t *testing.T) {
	const size = 1 << 20
	for name, text := range map[string]string{
		"commas": strings.Repeat(",", size), "proxies": strings.Repeat("10.0.0.2,", size/9) + "10.0.0.2", "spaces": strings.Repeat(" ", size),
		"one word": strings.Repeat("1", size), "spaces, then an address": strings.Repeat(" ", size) + "198.51.100.7",
	} {
		for _, lines := range [][]string{{text}, strings.Split(text, ",")} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = "10.0.0.1:1", lines
			if got := loggedIP(t, ranges("10.0.0.0/8"), r); got != unknownIP {
				t.Errorf("%s: got %s, want none", name, got)
			}
		}
	}
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "10.1.2.3/8": "", "2001:db8::1": "2001:db8::1/128", "::ffff:10.0.0.0/104": "10.0.0.0/8",
		"0.0.0.0/0": "", "::/0": "", "1.2.3.4/0": "", "::ffff:0.0.0.0/96": "", "": "", "proxy.internal": "", "10.0.0.0/33": "", "fe80::1%eth0": "",
	} {
		got, err := middleware.ParseProxy(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("ParseProxy(%q): got %v, %v, want %q", text, got, err, want)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("ParseProxy(%q): the error repeats it: %v", text, err)
		}
	}
	for name, p := range map[string]netip.Prefix{
		"everybody": netip.MustParsePrefix("0.0.0.0/0"), "the zero prefix": {}, "host bits": netip.MustParsePrefix("10.0.0.1/8"),
		"IPv4 as IPv6": netip.MustParsePrefix("::ffff:10.0.0.0/104"),
	} {
		mustPanic(t, name, func() {
			guardtest.NewKeyring(t).Guard(&middleware.Options{TrustedProxies: []netip.Prefix{p}})
		})
	}
}
