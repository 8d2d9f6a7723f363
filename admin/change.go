package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

type issueInput struct {
	restapi.Once
	Body api.IssueRequest
}

type issuedOutput struct {
	ETag     string `header:"ETag" doc:"The key's version, for If-Match"`
	Replayed string `header:"Idempotency-Replayed" doc:"true when nothing was done anew; the secret is then left out"`
	Body     api.Issued
}

func (s *service) issue(ctx context.Context, in *issueInput) (out *issuedOutput, err error) {
	defer func() { err = asSent(err, in.Body.ExpiresAt != "") }()
	req, err := request(&in.Body)
	if err != nil {
		return nil, err
	}
	return s.issuing(ctx, &in.Once, restapi.Asked{Verb: "issue", Body: in.Body}, func(m keys.Manager) (keys.Issued, error) {
		return m.Issue(ctx, req)
	})
}

// issuing is change for what hands out a secret.
func (s *service) issuing(ctx context.Context, o *restapi.Once, asked restapi.Asked, do func(keys.Manager) (keys.Issued, error)) (*issuedOutput, error) {
	var secret keys.Secret
	k, replayed, err := s.change(ctx, o, asked, func(m keys.Manager) (*keys.Key, error) {
		issued, err := do(m)
		secret = issued.Token
		return issued.Key, err
	})
	if err != nil {
		return nil, err
	}
	return &issuedOutput{etag(k), replayed, api.Issued{Key: s.wire(k), Secret: secret.Reveal()}}, nil
}

// changing is change for what does not.
func (s *service) changing(ctx context.Context, o *restapi.Once, asked restapi.Asked, do func(keys.Manager) (*keys.Key, error)) (*keyOutput, error) {
	k, replayed, err := s.change(ctx, o, asked, do)
	if err != nil {
		return nil, err
	}
	return &keyOutput{etag(k), replayed, s.wire(k)}, nil
}

// change does what is asked, unless this very request was made before.
func (s *service) change(ctx context.Context, o *restapi.Once, asked restapi.Asked, do func(keys.Manager) (*keys.Key, error)) (k *keys.Key, replayed string, err error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, "", err
	}
	caller, _ := keys.IdentityFrom(ctx)
	asked.Caller = caller.KeyID()
	turn, err := s.replays.Take(o, asked, s.now())
	if err != nil {
		return nil, "", err
	}
	if id, done := turn.Done(); done {
		k, err := s.shownBefore(ctx, id)
		return k, "true", err
	}
	defer func() { turn.End(k) }() // also when it panics, or the key would stay taken
	k, err = do(m)
	return k, "", err
}

// shownBefore reads a key that the caller was shown already, as it is now. So he need
// not be granted to read others.
func (s *service) shownBefore(ctx context.Context, id string) (*keys.Key, error) {
	k, err := s.store.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	return k, s.store.Peppers().CheckSeal(k)
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
	if req.AllowedIPs, err = keys.ParseAllowedIPs(body.AllowedIPs); err != nil {
		return req, err
	}
	if body.RateLimit != "" {
		if req.RateLimit, err = keys.ParseRateLimit(body.RateLimit); err != nil {
			return req, err
		}
	}
	req.Expires, err = expiry(body.ExpiresIn, body.ExpiresAt)
	return req, err
}

func expiry(in, at string) (keys.Expiry, error) {
	if in != "" && at != "" {
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_at", Reason: "does not go together with expires_in; name one of them"}
	}
	e, err := keys.ParseExpiry(in + at)
	switch {
	case in != "" && (err != nil || e.IsInstant()):
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_in", Reason: "must be a duration, such as 90d or 36h, or never; a time goes into expires_at"}
	case at != "" && (err != nil || !e.IsInstant()):
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_at", Reason: "must be an RFC 3339 time, such as 2027-01-31T00:00:00Z, or its date; a duration goes into expires_in"}
	}
	return e, err
}

type revokeInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	restapi.Once
	Body *api.RevokeRequest
}

func (s *service) revoke(ctx context.Context, in *revokeInput) (*keyOutput, error) {
	body := given(in.Body)
	return s.changing(ctx, &in.Once, restapi.Asked{Verb: "revoke", ID: in.ID, Body: body}, func(m keys.Manager) (*keys.Key, error) {
		return m.Revoke(ctx, in.ID, body.Reason)
	})
}

// given makes an empty body of none.
func given[T any](body *T) T {
	if body == nil {
		return *new(T)
	}
	return *body
}
