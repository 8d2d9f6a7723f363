package admin

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

type rotateInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	Body *api.RotateRequest
}

func (s *service) rotate(ctx context.Context, in *rotateInput) (*issuedOutput, error) {
	body := given(in.Body)
	req, err := rotation(&body)
	if err != nil {
		return nil, err
	}
	return s.issuing(ctx, &in.Once, restapi.Asked{Verb: "rotate", ID: in.ID, Body: body}, func(ctx context.Context, m keys.Manager) (keys.Issued, error) {
		return m.Rotate(ctx, in.ID, req)
	})
}

func rotation(body *api.RotateRequest) (req keys.RotateRequest, err error) {
	req = keys.RotateRequest{Finish: body.Finish, Replace: body.Replace}
	if req.Grace, err = keys.ParseGrace(body.Grace); err != nil {
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
	Body *api.DisableRequest
}

func (s *service) disable(ctx context.Context, in *disableInput) (*keyOutput, error) {
	body := given(in.Body)
	return s.changing(ctx, &in.Once, restapi.Asked{Verb: "disable", ID: in.ID, Body: body}, func(ctx context.Context, m keys.Manager) (*keys.Key, error) {
		return m.Disable(ctx, in.ID, body.Reason)
	})
}

type enableInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	Body *api.EnableRequest
}

func (s *service) enable(ctx context.Context, in *enableInput) (*keyOutput, error) {
	return s.changing(ctx, &in.Once, restapi.Asked{Verb: "enable", ID: in.ID}, func(ctx context.Context, m keys.Manager) (*keys.Key, error) {
		return m.Enable(ctx, in.ID)
	})
}

type editInput struct {
	ID      string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	IfMatch string `header:"If-Match" doc:"The ETag that the key was read with; left out, or *, any version will do" example:"\"3\""`
	Body    api.EditRequest

	matches []string // every If-Match header there was
}

// Resolve implements [huma.Resolver]: of several headers huma shows the first only.
func (in *editInput) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, value string) {
		if strings.EqualFold(name, "If-Match") {
			in.matches = append(in.matches, value)
		}
	})
	return nil
}

func (s *service) edit(ctx context.Context, in *editInput) (out *keyOutput, err error) {
	defer func() { err = asSent(err, in.Body.ExpiresAt != nil) }()
	req, err := editRequest(&in.Body)
	if err != nil {
		return nil, err
	}
	if req.IfVersion, err = version(in.matches); err != nil {
		return nil, err
	}
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	k, err := m.Edit(ctx, in.ID, req)
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(k.Version), Body: s.answered(k)}, nil
}

// editRequest turns the body into what the domain reads; the rules are there.
func editRequest(body *api.EditRequest) (req keys.EditRequest, err error) {
	req = keys.EditRequest{
		Name: body.Name, Owner: body.Owner, Scopes: body.Scopes, Audience: body.Audience, Metadata: body.Metadata,
	}
	if body.AllowedIPs != nil {
		list, err := keys.ParseAllowedIPs(*body.AllowedIPs)
		if err != nil {
			return req, err
		}
		req.AllowedIPs = &list
	}
	if body.RateLimit != nil {
		req.RateLimit = &keys.RateLimit{}
		if *body.RateLimit != "" {
			if *req.RateLimit, err = keys.ParseRateLimit(*body.RateLimit); err != nil {
				return req, err
			}
		}
	}
	if body.MaxKeyLife != nil {
		life, err := keys.ParseKeyLife(*body.MaxKeyLife)
		if err != nil {
			return req, err
		}
		req.MaxKeyLife = &life
	}
	if body.ExpiresIn == nil && body.ExpiresAt == nil {
		return req, nil
	}
	e, err := expiry(given(body.ExpiresIn), given(body.ExpiresAt))
	req.Expires = &e
	return req, err
}

// etag is the strong validator of a key: its version.
func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// version reads If-Match: one ETag of ours, or * for any. Whatever else there is names
// no version that a key could be at.
func version(headers []string) (int64, error) {
	if len(headers) == 0 || len(headers) == 1 && headers[0] == "*" {
		return 0, nil
	}
	text, quoted := strings.CutPrefix(strings.Join(headers, ","), `"`)
	text, closed := strings.CutSuffix(text, `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if !quoted || !closed || err != nil || n < 1 || strconv.FormatInt(n, 10) != text {
		return 0, keys.ErrVersion
	}
	return n, nil
}
