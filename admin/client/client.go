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
// The package refuses plain HTTP to another machine unless Options.InsecureHTTP is set, and a
// Unix socket that another user may have put there. It follows no redirects, logs nothing, and
// sends the admin key only to the given address.
package client

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/peercheck"
	"github.com/mcpkeys/mcpkeys/keys"
)

// DefaultTimeout is how long one call may take.
const DefaultTimeout = 30 * time.Second

// Options configures [New]. Nil and the zero value are valid.
type Options struct {
	Transport    http.RoundTripper // nil means a new one, with the system's proxies and certificates; not for a Unix socket
	Timeout      time.Duration     // of one attempt; 0 means DefaultTimeout
	InsecureHTTP bool              // allow plain HTTP beyond this machine: the admin key can then be read on the network

	// ServerUser is the name or number of the user that runs the server behind a Unix socket,
	// besides root. Empty means the user of this process.
	ServerUser string
}

// Client is an [admin.Manager] over the network. It is safe for concurrent use.
type Client struct {
	name string // of the server, for people
	base *url.URL
	key  keys.Secret
	http *http.Client
}

var _ admin.Manager = (*Client)(nil)

// New returns a client for the server at address, such as https://keys.example:8420 or
// unix:/run/mcpkeys/socket, that acts with adminKey. It sends nothing. The error is a
// [*keys.InvalidError].
func New(address string, adminKey keys.Secret, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	c, err := at(address, o)
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
	c.key = adminKey
	return c, nil
}

// at returns a client without a key.
func at(address string, o *Options) (*Client, error) {
	c := &Client{http: &http.Client{
		Transport:     o.Transport,
		Timeout:       cmp.Or(o.Timeout, DefaultTimeout),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if path, isSocket := peercheck.Path(address); isSocket {
		return c, c.useSocket(path, o)
	}
	if o.ServerUser != "" {
		return nil, &keys.InvalidError{Field: "server_user", Reason: "is for a Unix socket, not for an address"}
	}
	base, err := parseAddress(address, o.InsecureHTTP)
	if err != nil {
		return nil, err
	}
	c.name, c.base = base.Host, base
	if c.http.Transport == nil {
		c.http.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 60 * time.Second,
		}
	}
	return c, nil
}

// useSocket makes c use the socket at path, after checking who listens there.
func (c *Client) useSocket(path string, o *Options) error {
	if o.Transport != nil {
		return &keys.InvalidError{Field: "server", Reason: "is a Unix socket, which cannot be combined with a transport of your own"}
	}
	socket, err := peercheck.New(path, o.ServerUser, 10*time.Second)
	if err != nil {
		return err
	}
	c.name, c.base = "unix:"+path, &url.URL{Scheme: "http", Host: "mcpkeys"}
	c.http.Transport = &http.Transport{DialContext: socket.Dial, IdleConnTimeout: 60 * time.Second}
	return nil
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
		return nil, &keys.InvalidError{Field: "server", Reason: "must be an address such as https://keys.example:8420 or unix:/run/mcpkeys/socket"}
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
