// Package client is an [admin.Manager] that uses the admin API of `keyctl serve`, so that a
// command or a screen works the same with a file and with a server.
//
// Call [New] with the server's address and an admin key. The errors are those of package keys:
// [keys.InvalidError] with its field, [keys.ErrNotFound], [keys.ErrNameTaken] and
// [keys.ErrConflict], [keys.ErrTampered], [keys.ErrDenied] if the admin key may not do it, and
// [keys.ErrUnavailable] if a later attempt may work.
//
// Reads are tried three times, changes once: if the answer to Issue is lost, the key may exist,
// and its secret is lost.
//
// The package refuses plain HTTP to another machine unless Options.InsecureHTTP is set. It
// follows no redirects, logs nothing, and sends the admin key only to the given address.
package client

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

// DefaultTimeout is how long one call may take.
const DefaultTimeout = 30 * time.Second

// Options configures [New]. Nil and the zero value are valid.
type Options struct {
	Transport    http.RoundTripper // nil means a new one, with the system's proxies and certificates
	Timeout      time.Duration     // of one attempt; 0 means DefaultTimeout
	InsecureHTTP bool              // allow plain HTTP beyond this machine: the admin key can then be read on the network
}

// Client is an [admin.Manager] over the network. It is safe for concurrent use.
type Client struct {
	base *url.URL
	key  keys.Secret
	http *http.Client
}

var _ admin.Manager = (*Client)(nil)

// New returns a client for the server at address, such as https://keys.example:8420, that acts
// with adminKey. It sends nothing. The error is a [*keys.InvalidError].
func New(address string, adminKey keys.Secret, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	base, err := parseAddress(address, o.InsecureHTTP)
	if err != nil {
		return nil, err
	}
	token, err := keys.ParseToken(adminKey.Reveal())
	switch {
	case err != nil:
		return nil, &keys.InvalidError{Field: "admin key", Reason: "is not a valid key: check for missing or extra characters; an admin key begins with mcpa_"}
	case token.Kind() != keys.KindAdmin:
		return nil, &keys.InvalidError{Field: "admin key", Reason: "is not an admin key, which begins with mcpa_"}
	}
	c := &Client{base: base, key: adminKey, http: &http.Client{
		Transport:     o.Transport,
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.http.Timeout == 0 {
		c.http.Timeout = DefaultTimeout
	}
	if c.http.Transport == nil {
		c.http.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 60 * time.Second,
		}
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func parseAddress(address string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(address)
	bad := err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")
	switch {
	case bad || keys.HoldsToken(address):
		return nil, &keys.InvalidError{Field: "server", Reason: "must be an address such as https://keys.example:8420"}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, &keys.InvalidError{Field: "server", Reason: "must be an address without user, query and fragment"}
	case u.Scheme == "http" && !insecure && !hostcheck.ThisMachine(u.Hostname()):
		return nil, &keys.InvalidError{Field: "server", Reason: "names another machine, and plain HTTP would show the admin key to the network; use https, or --insecure-http"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// errRedirect: `keyctl serve` never redirects.
var errRedirect = errors.New("it answered with a redirect")
