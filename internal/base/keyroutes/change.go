package keyroutes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

type issueInput struct {
	restapi.Once
	Body api.IssueRequest
}

type issuedOutput struct {
	ETag     string `header:"ETag" doc:"The key's version, for If-Match"`
	Replayed string `header:"Idempotency-Replayed" doc:"true if the request was a repetition: nothing was done, and this is the first answer"`
	Body     api.Issued
}

func (s *service) issue(ctx context.Context, in *issueInput) (out *issuedOutput, err error) {
	defer func() { err = asSent(err, in.Body.ExpiresAt != "") }()
	req, err := request(&in.Body, s.now())
	if err != nil {
		return nil, err
	}
	return s.issuing(ctx, &in.Once, nil, nil, restapi.Asked{Verb: "issue", Body: in.Body}, func(ctx context.Context, m admin.Manager) (admin.Issued, error) {
		return m.Issue(ctx, req)
	})
}

// issuing is change for operations that return a secret.
func (s *service) issuing(ctx context.Context, o *restapi.Once, at *IfMatch, w *Waits, asked restapi.Asked, do func(context.Context, admin.Manager) (admin.Issued, error)) (*issuedOutput, error) {
	var secret keys.Secret
	out, replayed, err := s.change(ctx, o, at, w, asked, func(ctx context.Context, m admin.Manager) (*keys.Key, error) {
		issued, err := do(ctx, m)
		secret = issued.Token
		return issued.Key, err
	})
	if err != nil {
		return nil, err
	}
	return &issuedOutput{etag(out.Version), replayed, api.Issued{Key: *out, Secret: secret.Reveal()}}, nil
}

// changing is change for the other operations.
func (s *service) changing(ctx context.Context, o *restapi.Once, at *IfMatch, w *Waits, asked restapi.Asked, do func(context.Context, admin.Manager) (*keys.Key, error)) (*keyOutput, error) {
	out, replayed, err := s.change(ctx, o, at, w, asked, do)
	if err != nil {
		return nil, err
	}
	return &keyOutput{etag(out.Version), replayed, *out}, nil
}

// change does what is asked, unless this very request was made before. Then the caller gets the
// first answer again, which it has seen already: so this needs no right to read keys, and shows
// no later changes.
func (s *service) change(ctx context.Context, o *restapi.Once, at *IfMatch, w *Waits, asked restapi.Asked, do func(context.Context, admin.Manager) (*keys.Key, error)) (out *api.Key, replayed string, err error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, "", err
	}
	once, err := o.Of(asked)
	if err != nil {
		return nil, "", err
	}
	if at != nil {
		if ctx, err = at.only(ctx); err != nil {
			return nil, "", err
		}
	}
	if once != nil {
		caller, _ := keys.IdentityFrom(ctx)
		once.Caller, once.At, once.Answer = "key:"+caller.KeyID(), s.now(), s.firstAnswer
		ctx = store.WithOnce(ctx, once)
	}
	ctx, effect := w.begin(ctx)
	k, err := do(ctx, m)
	var before *store.ReplayedError
	if errors.As(err, &before) && before.Secret == 0 {
		out := &api.Key{}
		if err := json.Unmarshal([]byte(before.Answer), out); err != nil {
			return nil, "", fmt.Errorf("read the first answer: %w", err)
		}
		out.EffectiveEverywhereAt = wire.Moment(effect.Everywhere)
		return out, "true", nil
	}
	if err != nil {
		return nil, "", err
	}
	answered := s.answered(k)
	answered.EffectiveEverywhereAt = wire.Moment(effect.Everywhere)
	return &answered, "", nil
}

// Waits is the query of changes that may take something away.
type Waits struct {
	Wait bool `query:"wait" default:"true" doc:"Wait until guards on other hosts refuse what the change takes away: some milliseconds, or 2.1 s if one does not answer"`
}

// begin returns the context of the change, and what comes of the waiting.
func (w *Waits) begin(ctx context.Context) (context.Context, *store.Wait) {
	effect := &store.Wait{No: w != nil && !w.Wait}
	return store.WithWait(ctx, effect), effect
}

// answered is the answer to a change.
func (s *service) answered(k *keys.Key) api.Key {
	out := wire.Key(k, s.now())
	out.Warnings = k.Warnings(s.now())
	return out
}

func (s *service) firstAnswer(k *keys.Key) (string, error) {
	text, err := json.Marshal(s.answered(k))
	return string(text), err
}

// request converts the body to the domain's request, which the domain validates. Its error
// lists all faults of the body.
func request(body *api.IssueRequest, now time.Time) (req admin.IssueRequest, err error) {
	var kind, addresses, limit, life, ends error
	req = admin.IssueRequest{
		Name: body.Name, Owner: body.Owner, Scopes: body.Scopes, Audience: body.Audience, Metadata: body.Metadata,
	}
	if body.Kind != "" {
		req.Kind, kind = keys.ParseKind(body.Kind)
	}
	req.AllowedIPs, addresses = keys.ParseAllowedIPs(body.AllowedIPs)
	if body.RateLimit != "" {
		req.RateLimit, limit = keys.ParseRateLimit(body.RateLimit)
	}
	req.MaxKeyLife, life = keys.ParseKeyLife(body.MaxKeyLife)
	req.Expires, ends = expiry(body.ExpiresIn, body.ExpiresAt)
	if err := errors.Join(kind, addresses, limit, life, ends); err != nil {
		return req, errors.Join(err, req.Validate(now))
	}
	return req, nil
}

func expiry(in, at string) (keys.Expiry, error) {
	if in != "" && at != "" {
		return keys.Expiry{}, &keys.InvalidError{Field: "expires_at", Reason: "cannot be combined with expires_in; use one of them"}
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
	IfMatch
	Waits
	Body *api.RevokeRequest
}

func (s *service) revoke(ctx context.Context, in *revokeInput) (*keyOutput, error) {
	body := given(in.Body)
	return s.changing(ctx, &in.Once, &in.IfMatch, &in.Waits, restapi.Asked{Verb: "revoke", ID: in.ID, Body: body}, func(ctx context.Context, m admin.Manager) (*keys.Key, error) {
		return m.Revoke(ctx, in.ID, body.Reason)
	})
}

// given turns a missing body into an empty one.
func given[T any](body *T) T {
	if body == nil {
		return *new(T)
	}
	return *body
}
