package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// Rotate implements [admin.Manager]. A grace is sent in whole seconds.
func (c *Client) Rotate(ctx context.Context, id string, req admin.RotateRequest) (admin.Issued, error) {
	if err := req.Validate(); err != nil {
		return admin.Issued{}, err
	}
	body := api.RotateRequest{Finish: req.Finish, Replace: req.Replace}
	if req.Expires != nil {
		body.ExpiresIn, body.ExpiresAt = wireExpiry(*req.Expires)
	}
	if req.Grace != nil {
		body.Grace = keys.FormatDuration(req.Grace.Truncate(time.Second))
	}
	var answer api.Issued
	if err := c.about(ctx, id, "/rotate", request{body: body, query: waiting(ctx)}, &answer); err != nil {
		return admin.Issued{}, err
	}
	effective(ctx, &answer.Key)
	k, err := key(&answer.Key)
	if err != nil || answer.Secret == "" {
		return admin.Issued{Key: k}, err
	}
	return admin.Issued{Key: k, Token: keys.NewSecret(answer.Secret)}, nil
}

// Disable implements [admin.Manager].
func (c *Client) Disable(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := keys.ValidateText("reason", reason); err != nil {
		return nil, err
	}
	return c.changed(ctx, id, "/disable", request{query: waiting(ctx), body: api.DisableRequest{Reason: reason}})
}

// Enable implements [admin.Manager].
func (c *Client) Enable(ctx context.Context, id string) (*keys.Key, error) {
	return c.changed(ctx, id, "/enable", request{})
}

// Revoke implements [admin.Manager].
func (c *Client) Revoke(ctx context.Context, id, reason string) (*keys.Key, error) {
	if err := keys.ValidateText("reason", reason); err != nil {
		return nil, err
	}
	return c.changed(ctx, id, "/revoke", request{query: waiting(ctx), body: api.RevokeRequest{Reason: reason}})
}

// Edit implements [admin.Manager]. It validates the request first, as Issue does.
func (c *Client) Edit(ctx context.Context, id string, req admin.EditRequest) (*keys.Key, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	return c.changed(ctx, id, "", request{method: http.MethodPatch, version: req.IfVersion, query: waiting(ctx), body: wireEdit(req)})
}

// waiting is the query of a change that does not wait for guards on other hosts.
func waiting(ctx context.Context) url.Values {
	if store.WaitFrom(ctx).No {
		return url.Values{"wait": {"false"}}
	}
	return nil
}

// effective hands the time from the answer to the caller.
func effective(ctx context.Context, answer *api.Key) {
	if at := answer.EffectiveEverywhereAt; at != nil {
		store.WaitFrom(ctx).Everywhere = *at
	}
}

func wireEdit(req admin.EditRequest) api.EditRequest {
	out := api.EditRequest{
		Name: req.Name, Owner: req.Owner, Scopes: req.Scopes, Audience: req.Audience, Metadata: req.Metadata,
	}
	if req.AllowedIPs != nil {
		list := []string{}
		for _, p := range *req.AllowedIPs {
			list = append(list, p.String())
		}
		out.AllowedIPs = &list
	}
	if req.RateLimit != nil {
		out.RateLimit = new(req.RateLimit.String())
	}
	if req.MaxKeyLife != nil {
		out.MaxKeyLife = new(keys.FormatKeyLife(*req.MaxKeyLife))
	}
	if req.Expires != nil {
		in, at := wireExpiry(*req.Expires)
		if at != "" {
			out.ExpiresAt = &at
		} else {
			out.ExpiresIn = &in
		}
	}
	return out
}

// wireExpiry returns an expiry as one of two members.
func wireExpiry(e keys.Expiry) (in, at string) {
	if e.IsInstant() {
		return "", e.String()
	}
	return e.String(), ""
}

// changed is about for an answer that is a key.
func (c *Client) changed(ctx context.Context, id, verb string, req request) (*keys.Key, error) {
	var answer api.Key
	if err := c.about(ctx, id, verb, req, &answer); err != nil {
		return nil, err
	}
	effective(ctx, &answer)
	return key(&answer)
}

// about sends a request for one key.
func (c *Client) about(ctx context.Context, id, verb string, req request, answer any) error {
	if !keys.ValidID(id) {
		return keys.ErrNotFound
	}
	req.path = "/v1/keys/" + id + verb
	if req.method == "" {
		req.method = http.MethodPost
	}
	return c.change(ctx, req, answer)
}
