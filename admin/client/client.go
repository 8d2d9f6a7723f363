// Package client speaks to the admin API of `keyctl serve` as a [admin.Manager], so
// that a command or a screen need not know whether keys are in a file or behind a
// server.
//
// Call [New] with the server's address and an admin key. The errors are those of
// package keys: [keys.InvalidError] with its field, [keys.ErrNotFound],
// [keys.ErrNameTaken] and [keys.ErrConflict], [keys.ErrTampered], [keys.ErrDenied]
// for what the key may not do, and [keys.ErrUnavailable] for everything that a later
// attempt may mend.
//
// Reading is tried three times. Changing is tried once: when the answer to an issue
// is lost, the key may exist, and its secret is lost for good.
//
// The package refuses plain HTTP to another machine unless it is told to, follows no
// redirect, logs nothing, and never sends the admin key anywhere but to the address
// it was given.
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

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Transport    http.RoundTripper // nil means one of its own, with the system's proxies and certificates
	Timeout      time.Duration     // of one attempt; 0 means DefaultTimeout
	InsecureHTTP bool              // allow plain HTTP beyond this machine: the admin key is then readable on the way
}

// Client is a [admin.Manager] over the network. It is safe for concurrent use.
type Client struct {
	base *url.URL
	key  keys.Secret
	http *http.Client
}

var _ admin.Manager = (*Client)(nil)

// New returns a client for the server at address, such as https://keys.example:8420,
// that acts with adminKey. Nothing is sent yet. The error is a [*keys.InvalidError].
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
		return nil, &keys.InvalidError{Field: "admin key", Reason: "is not a whole key; an admin key begins with mcpa_ and is used exactly as it was issued"}
	case token.Kind() != keys.KindAdmin:
		return nil, &keys.InvalidError{Field: "admin key", Reason: "is an ordinary key, which opens no admin API; an admin key begins with mcpa_"}
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

// Close gives up idle connections.
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
		return nil, &keys.InvalidError{Field: "server", Reason: "must be an address alone, without user, query and fragment"}
	case u.Scheme == "http" && !insecure && !hostcheck.ThisMachine(u.Hostname()):
		return nil, &keys.InvalidError{Field: "server", Reason: "is another machine, and plain HTTP would show the admin key to the network: use https, or say --insecure-http"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// errRedirect: a server of ours never redirects.
var errRedirect = errors.New("it answered with a redirect")
