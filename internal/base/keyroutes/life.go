package keyroutes

import (
	"context"
	"errors"
	"strconv"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
)

type rotateInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	IfMatch
	Waits
	Body *api.RotateRequest
}

func (s *service) rotate(ctx context.Context, in *rotateInput) (*issuedOutput, error) {
	body := given(in.Body)
	req, err := rotation(&body)
	if err != nil {
		return nil, err
	}
	return s.issuing(ctx, &in.Once, &in.IfMatch, &in.Waits, restapi.Asked{Verb: "rotate", ID: in.ID, Body: body}, func(ctx context.Context, m admin.Manager) (admin.Issued, error) {
		return m.Rotate(ctx, in.ID, req)
	})
}

func rotation(body *api.RotateRequest) (req admin.RotateRequest, err error) {
	req = admin.RotateRequest{Finish: body.Finish, Replace: body.Replace}
	if req.Grace, err = admin.ParseGrace(body.Grace); err != nil {
		return req, err
	}
	if body.ExpiresIn == "" && body.ExpiresAt == "" {
		return req, nil
	}
	e, err := expiry(body.ExpiresIn, body.ExpiresAt)
	req.Expires = &e
	return req, err
}

type disableInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	IfMatch
	Waits
	Body *api.DisableRequest
}

func (s *service) disable(ctx context.Context, in *disableInput) (*keyOutput, error) {
	body := given(in.Body)
	return s.changing(ctx, &in.Once, &in.IfMatch, &in.Waits, restapi.Asked{Verb: "disable", ID: in.ID, Body: body}, func(ctx context.Context, m admin.Manager) (*keys.Key, error) {
		return m.Disable(ctx, in.ID, body.Reason)
	})
}

type enableInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	IfMatch
	Body *api.EnableRequest
}

func (s *service) enable(ctx context.Context, in *enableInput) (*keyOutput, error) {
	return s.changing(ctx, &in.Once, &in.IfMatch, nil, restapi.Asked{Verb: "enable", ID: in.ID}, func(ctx context.Context, m admin.Manager) (*keys.Key, error) {
		return m.Enable(ctx, in.ID)
	})
}

type editInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	IfMatch
	Waits
	Body api.EditRequest
}

func (s *service) edit(ctx context.Context, in *editInput) (out *keyOutput, err error) {
	defer func() { err = asSent(err, in.Body.ExpiresAt != nil) }()
	req, err := editRequest(&in.Body)
	if err != nil {
		return nil, err
	}
	if ctx, err = in.only(ctx); err != nil {
		return nil, err
	}
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	ctx, effect := in.begin(ctx)
	k, err := m.Edit(ctx, in.ID, req)
	if err != nil {
		return nil, err
	}
	body := s.answered(k)
	body.EffectiveEverywhereAt = wire.Moment(effect.Everywhere)
	return &keyOutput{ETag: etag(k.Version), Body: body}, nil
}

// editRequest converts the body to the domain's request, which the domain validates. Its error
// lists all faults of the body.
func editRequest(body *api.EditRequest) (req admin.EditRequest, err error) {
	req = admin.EditRequest{
		Name: body.Name, Owner: body.Owner, Scopes: body.Scopes, Audience: body.Audience, Metadata: body.Metadata,
	}
	var addresses, limit, life, ends error
	if body.AllowedIPs != nil {
		req.AllowedIPs, addresses = parsed(*body.AllowedIPs, keys.ParseAllowedIPs)
	}
	if body.RateLimit != nil {
		req.RateLimit = &keys.RateLimit{}
		if *body.RateLimit != "" {
			req.RateLimit, limit = parsed(*body.RateLimit, keys.ParseRateLimit)
		}
	}
	if body.MaxKeyLife != nil {
		req.MaxKeyLife, life = parsed(*body.MaxKeyLife, keys.ParseKeyLife)
	}
	if body.ExpiresIn != nil || body.ExpiresAt != nil {
		var e keys.Expiry
		if e, ends = expiry(given(body.ExpiresIn), given(body.ExpiresAt)); ends == nil {
			req.Expires = &e
		}
	}
	if err := errors.Join(addresses, limit, life, ends); err != nil {
		return req, errors.Join(err, req.Validate())
	}
	return req, nil
}

// parsed returns what parse makes of a member, as the domain's requests take it; nil if that is
// nothing.
func parsed[T, V any](member T, parse func(T) (V, error)) (*V, error) {
	v, err := parse(member)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// etag is the strong validator of a key: its version.
func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }
