package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// Issue implements [admin.Manager]. It validates the request first: JSON would repair invalid
// Unicode, and a secret in a wrong field should not be sent.
func (c *Client) Issue(ctx context.Context, req admin.IssueRequest) (admin.Issued, error) {
	if err := valid(req); err != nil {
		return admin.Issued{}, err
	}
	var answer api.Issued
	if err := c.change(ctx, request{method: http.MethodPost, path: "/v1/keys", body: wireRequest(req)}, &answer); err != nil {
		return admin.Issued{}, err
	}
	k, err := key(&answer.Key)
	if err != nil {
		return admin.Issued{}, err
	}
	return admin.Issued{Key: k, Token: keys.NewSecret(answer.Secret)}, nil
}

// Key implements [admin.Manager]. With [keys.ErrTampered] the key has only its id.
func (c *Client) Key(ctx context.Context, id string) (*keys.Key, error) {
	if !keys.ValidID(id) {
		return nil, keys.ErrNotFound
	}
	var answer api.Key
	if err := c.get(ctx, "/v1/keys/"+id, nil, &answer); err != nil {
		return tamperedKey(id, err), err
	}
	return key(&answer)
}

// List implements [admin.Manager]. It has only the times of last uses; [Client.Usage] has the
// rest.
func (c *Client) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	if fitsNone(q) {
		return keys.Page{}, nil
	}
	var answer api.KeyPage
	if err := c.get(ctx, "/v1/keys", parameters(q), &answer); err != nil {
		return keys.Page{}, err
	}
	page := keys.Page{Next: answer.NextCursor, Tampered: answer.Tampered}
	if answer.UsageKnown {
		page.LastUsed = map[string]keys.LastUse{}
	}
	for i := range answer.Data {
		k, err := key(&answer.Data[i])
		if err != nil {
			return keys.Page{}, err
		}
		page.Keys = append(page.Keys, k)
		if at := instant(answer.Data[i].LastUsedAt); answer.UsageKnown && !at.IsZero() {
			page.LastUsed[k.ID] = keys.LastUse{At: at}
		}
	}
	return page, nil
}

// Usage implements [admin.Manager].
func (c *Client) Usage(ctx context.Context, id string, since time.Time) (usage.Usage, error) {
	if !keys.ValidID(id) {
		return usage.Usage{}, keys.ErrNotFound
	}
	var answer api.Usage
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
	if err := c.get(ctx, "/v1/keys/"+id+"/usage", query, &answer); err != nil {
		return usage.Usage{}, err
	}
	return usageOf(&answer), nil
}

// Whoami describes the admin key of this client.
func (c *Client) Whoami(ctx context.Context) (api.Whoami, error) {
	var answer api.Whoami
	err := c.get(ctx, "/v1/whoami", nil, &answer)
	return answer, err
}

// Verify verifies a key. The error is about the request; the answer says what is wrong with the
// key.
func (c *Client) Verify(ctx context.Context, req api.VerifyRequest) (api.Verification, error) {
	var answer api.Verification
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/verify", body: req}, &answer)
	return answer, err
}

// fitsNone reports whether no key can match q. The server would refuse such a query, and it may
// hold a secret in a wrong place.
func fitsNone(q keys.Query) bool {
	texts := []string{q.Name, q.IDPrefix, q.Audience, q.Search}
	if q.Owner != nil {
		texts = append(texts, *q.Owner)
	}
	for _, text := range texts {
		if keys.ValidateText("filter", text) != nil {
			return true
		}
	}
	if q.Scope == "" {
		return false
	}
	_, err := keys.CompileScopes([]string{q.Scope})
	return err != nil
}

// valid reports the faults of req that do not depend on the time: the server's clock counts for
// the expiry.
func valid(req admin.IssueRequest) error {
	req.Expires = keys.Expiry{}
	return req.Validate(time.Unix(0, 0))
}

func wireRequest(req admin.IssueRequest) api.IssueRequest {
	out := api.IssueRequest{
		Name: req.Name, Owner: req.Owner, Kind: string(req.Kind), Scopes: req.Scopes, Audience: req.Audience,
		RateLimit: req.RateLimit.String(), Metadata: req.Metadata, MaxKeyLife: keys.FormatKeyLife(req.MaxKeyLife),
	}
	for _, p := range req.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	out.ExpiresIn, out.ExpiresAt = wireExpiry(req.Expires)
	return out
}

func parameters(q keys.Query) url.Values {
	out := url.Values{}
	for name, value := range map[string]string{
		"status": string(q.Status), "kind": string(q.Kind), "name": q.Name, "id_prefix": q.IDPrefix,
		"scope": q.Scope, "audience": q.Audience, "q": q.Search, "cursor": q.Cursor,
	} {
		if value != "" {
			out.Set(name, value)
		}
	}
	if q.Owner != nil {
		out.Set("owner", *q.Owner)
	}
	if q.Unrevoked {
		out.Set("unrevoked", "true")
	}
	if !q.ExpiresBy.IsZero() {
		out.Set("expires_by", q.ExpiresBy.UTC().Format(time.RFC3339Nano))
	}
	if !q.UnusedBy.IsZero() {
		out.Set("unused_by", q.UnusedBy.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		out.Set("limit", strconv.Itoa(min(q.Limit, keys.MaxLimit)))
	}
	return out
}

func (c *Client) get(ctx context.Context, path string, query url.Values, answer any) error {
	return c.retry(ctx, func() error { return c.call(ctx, request{method: http.MethodGet, path: path, query: query}, answer) })
}

// change adds to an error that the change may have been made.
func (c *Client) change(ctx context.Context, req request, answer any) error {
	err := c.call(ctx, req, answer)
	var lost *unreachedError
	if errors.As(err, &lost) && lost.sent {
		return fmt.Errorf("%w; the change may have been made: check before you repeat it", err)
	}
	return err
}
