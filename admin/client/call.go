package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/peercheck"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// maxAnswer, in bytes, is more than the largest page of keys needs.
const maxAnswer = 64 << 20

// The pauses before the second and the third attempt.
var pauses = [...]time.Duration{100 * time.Millisecond, 400 * time.Millisecond}

// retry repeats calls that failed because the server could not be reached or used, never
// refused ones.
func (c *Client) retry(ctx context.Context, attempt func() error) error {
	err := attempt()
	for _, pause := range pauses {
		var altered *feed.AlteredError
		if err == nil || !errors.Is(err, keys.ErrUnavailable) || errors.As(err, &altered) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		err = attempt()
	}
	return err
}

// request is one request to the server.
type request struct {
	method, path string
	query        url.Values
	version      int64 // the required version of the key; 0: any
	body         any   // nil: none
}

// call is one attempt.
func (c *Client) call(ctx context.Context, req request, answer any) error {
	r, err := c.render(ctx, &req)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return c.unreached(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not needed
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreached(err)
	}
	if resp.StatusCode/100 != 2 {
		return c.refused(resp, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return c.unknownServer(resp.StatusCode)
	}
	return nil
}

func (c *Client) render(ctx context.Context, req *request) (*http.Request, error) {
	target := *c.base
	target.Path += req.path
	target.RawQuery = req.query.Encode()
	var content io.Reader
	if req.body != nil {
		text, err := json.Marshal(req.body)
		if err != nil {
			return nil, fmt.Errorf("render the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, req.method, target.String(), content)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if req.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if req.version != 0 {
		r.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(req.version, 10)))
	}
	r.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	return r, nil
}

// unreachedError is a [keys.ErrUnavailable] without an answer of the server.
type unreachedError struct {
	name string // of the server
	err  error
	sent bool // the request may have reached the server
}

func (e *unreachedError) Error() string {
	if errors.Is(e.err, http.ErrSchemeMismatch) {
		return fmt.Sprintf("%v: %s speaks plain HTTP, not HTTPS; give it a certificate, or on this machine use http://", keys.ErrUnavailable, e.name)
	}
	var refused *peercheck.RefusedError
	if errors.As(e.err, &refused) {
		return fmt.Sprintf("%v: %s cannot be used: %s", keys.ErrUnavailable, e.name, refused.Reason)
	}
	return fmt.Sprintf("%v: %s cannot be reached (%v); check the address, and that keyctl serve is running there", keys.ErrUnavailable, e.name, e.err)
}

func (e *unreachedError) Unwrap() []error { return []error{keys.ErrUnavailable, e.err} }

// unreached removes the URL from net/http's errors, because it has the query.
func (c *Client) unreached(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	var network *net.OpError
	var refused *peercheck.RefusedError
	notSent := errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &refused) || errors.As(err, &network) && network.Op == "dial"
	var cause syscall.Errno
	if errors.As(err, &cause) && strings.HasPrefix(c.name, "unix:") { // the rest of the text repeats the path
		err = cause
	}
	return &unreachedError{c.name, err, !notSent}
}

// unknownServer is the error for an answer that the mcpkeys API does not give.
func (c *Client) unknownServer(status int) error {
	fix := ""
	if strings.HasPrefix(c.base.Path, "/v1") { // the client adds it
		fix = ", and leave /v1 out"
	}
	return fmt.Errorf("%w: %s answered %d, but not as the mcpkeys API does; check the address%s", keys.ErrUnavailable, c.name, status, fix)
}
