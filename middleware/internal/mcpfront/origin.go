package mcpfront

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// origins are the web pages whose scripts may call, besides the server's own host.
type origins []string

// newOrigins panics on an origin that no browser would send, since it would never match.
func newOrigins(owner string, trusted []string) origins {
	for i, o := range trusted {
		if _, ok := originHost(o); !ok {
			panic(fmt.Sprintf("%s: Options.TrustedOrigins[%d] must be scheme://host or scheme://host:port in lower case, such as https://inspector.example", owner, i))
		}
	}
	return slices.Clone(trusted)
}

// allow refuses a request that a foreign page makes a browser send, as the protocol requires
// against DNS rebinding and cross-site calls. The opaque origin "null" is foreign. A request
// without an Origin is not from a page.
func (trusted origins) allow(r *http.Request) bool {
	for _, o := range r.Header["Origin"] {
		host, ok := originHost(o)
		if !ok || (!strings.EqualFold(host, r.Host) && !slices.Contains(trusted, o)) {
			return false
		}
	}
	return true
}

// originHost returns host[:port] of a serialised http or https origin.
func originHost(origin string) (string, bool) {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", false
	}
	return u.Host, origin == u.Scheme+"://"+strings.ToLower(u.Host)
}
