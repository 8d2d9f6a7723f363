package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/peercheck"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// server is the other side: where it is, and how it is asked.
type server struct {
	name       string // for people
	base       string // of the URLs
	credential *credential
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
	given      *http.Transport // of the options, or nil

	mu     sync.Mutex
	client *http.Client
}

const dialWithin = feed.Lease / 2

func newServer(address string, o *Options) (*server, error) {
	s := &server{name: address, credential: newCredential(o), given: o.Transport}
	if path, isSocket := peercheck.Path(address); isSocket {
		if o.Transport != nil {
			return nil, badAddress("is a unix socket, which cannot be combined with a transport of your own")
		}
		socket, err := peercheck.New(path, o.ServerUser, dialWithin)
		if err != nil {
			return nil, err
		}
		s.base, s.dial = "http://mcpkeys", socket.Dial
		return s, s.credential.check()
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || keys.HoldsToken(address):
		return nil, badAddress("must be an address such as https://keys.internal:8420 or unix:/run/mcpkeys/socket")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, badAddress("must be an address without user, query and fragment")
	case u.Scheme == "http" && !hostcheck.ThisMachine(u.Hostname()):
		return nil, badAddress("names another machine, and plain HTTP would show every client's secret to the network; use https")
	case u.Scheme == "http" && !o.InsecureHTTP:
		return nil, badAddress("is plain HTTP, so another program at that port would be sent every client's secret; use https or a unix socket, or allow plain HTTP for a trial")
	}
	s.name, s.base = u.Scheme+"://"+u.Host, strings.TrimRight(u.String(), "/")
	s.dial = (&net.Dialer{Timeout: dialWithin}).DialContext
	return s, s.credential.check()
}

func badAddress(reason string) error { return &keys.InvalidError{Field: "server", Reason: reason} }

// transport makes new connections. They do not go through a proxy of the environment, which
// would see the secrets.
func (s *server) transport() *http.Transport {
	if s.given != nil {
		t := s.given.Clone()
		t.Proxy = nil
		return t
	}
	return &http.Transport{
		DialContext: s.dial, TLSHandshakeTimeout: dialWithin, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{SendPingTimeout: feed.Lease, PingTimeout: feed.Lease},
	}
}

// connections returns the client for the next request.
func (s *server) connections() *http.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		s.client = &http.Client{
			Transport:     s.transport(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return s.client
}

// reconnect makes later requests use new connections: those of before may hang for minutes,
// although the network works again.
func (s *server) reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
		s.client = nil
	}
}

func (s *server) close() { s.reconnect() }

// post sends one message and reads the answer.
func (s *server) post(ctx context.Context, path string, message, answer any) error {
	resp, err := s.send(ctx, path, message)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not needed
	text, err := io.ReadAll(io.LimitReader(resp.Body, protocol.MaxMessage+1))
	switch {
	case err != nil:
		return s.unreached(ctx, err)
	case len(text) > protocol.MaxMessage:
		return s.unknown("its answer is too long")
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return s.unknown("its answer is not that of an mcpkeys server")
	}
	return nil
}

// open sends a message that is answered with a stream.
func (s *server) open(ctx context.Context, path string, message any) (io.ReadCloser, error) {
	resp, err := s.send(ctx, path, message)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// send sends a message, once more if the verify key was replaced since it was read.
func (s *server) send(ctx context.Context, path string, message any) (*http.Response, error) {
	text, err := json.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("render the message: %w", err)
	}
	key, err := s.credential.read()
	if err != nil {
		return nil, err
	}
	resp, err := s.once(ctx, path, text, key)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return s.accepted(resp, err)
	}
	other, why := s.credential.reread()
	if why == nil && other.Reveal() != key.Reveal() {
		_ = resp.Body.Close() // it is not needed
		resp, err = s.once(ctx, path, text, other)
		return s.accepted(resp, err)
	}
	_, err = s.accepted(resp, nil)
	if why != nil {
		err = fmt.Errorf("%w; the key file cannot be used: %w", err, why)
	}
	return nil, err
}

func (s *server) once(ctx context.Context, path string, text []byte, key keys.Secret) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key.Reveal())
	r.Header.Set("User-Agent", "mcpkeys-verifier")
	resp, err := s.connections().Do(r)
	if err != nil {
		return nil, s.unreached(ctx, err)
	}
	return resp, nil
}

// StatusError is an answer of the server that refuses a message. It is a
// [keys.ErrUnavailable].
type StatusError struct {
	Server string
	Status int
}

func (e *StatusError) Error() string {
	switch e.Status {
	case http.StatusUnauthorized:
		return e.Server + " refuses the verify key: it was revoked or rotated, or has expired; write its new secret, or that of a new verify key, into the key file"
	case http.StatusForbidden:
		return e.Server + " does not allow this verify key to ask for this audience: the key must have the scope verify and no other, and the audience of the guarded server"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return e.Server + " is not an mcpkeys server, or is too old to serve guards on other hosts"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return e.Server + " cannot read this program's messages: name the audience if the verify key is for several, and use the same version of mcpkeys on both sides"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return e.Server + " cannot answer at the moment; look at the log of keyctl serve"
	}
	return fmt.Sprintf("%s answered with the status %d, as an mcpkeys server does not; check the address", e.Server, e.Status)
}

// Is makes errors.Is(err, keys.ErrUnavailable) hold.
func (e *StatusError) Is(target error) bool { return target == keys.ErrUnavailable }

// accepted turns an answer other than 200 into an error.
func (s *server) accepted(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // it is not needed
		return nil, &StatusError{s.name, resp.StatusCode}
	}
	return resp, nil
}

// errUnreached is in the errors of messages without an answer.
var errUnreached = errors.New("no answer")

// unreachedError is a message without an answer. Its text has nothing of what came from the
// other side.
type unreachedError struct {
	text  string
	cause error
}

func (e *unreachedError) Error() string   { return e.text }
func (e *unreachedError) Unwrap() []error { return []error{keys.ErrUnavailable, errUnreached, e.cause} }

func (s *server) unreached(ctx context.Context, err error) error {
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	var refused *peercheck.RefusedError
	text := "does not answer as an mcpkeys server does; check the address"
	switch {
	case errors.As(err, &refused):
		text = "cannot be used: " + refused.Reason
	case errors.As(err, &certificate):
		text = fmt.Sprintf("has a certificate that cannot be verified (%v); it must be valid for the name in the address, and signed by an authority that this system knows", certificate.Err)
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		text = "did not answer in time"
	case errors.As(err, &network):
		text = fmt.Sprintf("cannot be reached: %v", network)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "closed the connection without an answer"
	}
	return &unreachedError{fmt.Sprintf("%v: %s %s", keys.ErrUnavailable, s.name, text), err}
}

func (s *server) unknown(what string) error {
	return fmt.Errorf("%w: %s: %s; check the address", keys.ErrUnavailable, s.name, what)
}
