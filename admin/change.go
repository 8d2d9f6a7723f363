package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
)

type issueInput struct{ Body api.IssueRequest }

type issueOutput struct{ Body api.Issued }

func (s *service) issue(ctx context.Context, in *issueInput) (*issueOutput, error) {
	req, err := request(&in.Body)
	if err != nil {
		return nil, err
	}
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	issued, err := m.Issue(ctx, req)
	if err != nil {
		return nil, err
	}
	return &issueOutput{api.Issued{Key: s.wire(issued.Key), Secret: issued.Token.Reveal()}}, nil
}

// request turns the body into what the domain reads; the rules are there.
func request(body *api.IssueRequest) (req keys.IssueRequest, err error) {
	req = keys.IssueRequest{
		Name: body.Name, Owner: body.Owner, Scopes: body.Scopes, Audience: body.Audience, Metadata: body.Metadata,
	}
	if body.Kind != "" {
		if req.Kind, err = keys.ParseKind(body.Kind); err != nil {
			return req, err
		}
	}
	for _, text := range body.AllowedIPs {
		p, err := keys.ParseAllowedIP(text)
		if err != nil {
			return req, err
		}
		req.AllowedIPs = append(req.AllowedIPs, p)
	}
	if body.RateLimit != "" {
		if req.RateLimit, err = keys.ParseRateLimit(body.RateLimit); err != nil {
			return req, err
		}
	}
	req.Expires, err = expiry(body)
	return req, err
}

func expiry(body *api.IssueRequest) (keys.Expiry, error) {
	if body.ExpiresIn != "" && body.ExpiresAt != "" {
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_at", Reason: "does not go together with expires_in; name one of them"}
	}
	e, err := keys.ParseExpiry(body.ExpiresIn + body.ExpiresAt)
	switch {
	case body.ExpiresIn != "" && (err != nil || e.IsInstant()):
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_in", Reason: "must be a duration, such as 90d or 36h, or never; a time goes into expires_at"}
	case body.ExpiresAt != "" && (err != nil || !e.IsInstant()):
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_at", Reason: "must be an RFC 3339 time, such as 2027-01-31T00:00:00Z, or its date; a duration goes into expires_in"}
	}
	return e, err
}

type revokeInput struct {
	ID   string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	Body *api.RevokeRequest
}

func (s *service) revoke(ctx context.Context, in *revokeInput) (*keyOutput, error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	k, err := m.Revoke(ctx, in.ID, reason)
	if err != nil {
		return nil, err
	}
	return &keyOutput{s.wire(k)}, nil
}
