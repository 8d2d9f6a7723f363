package keyroutes

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
)

type keyInput struct {
	ID string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
}

type keyOutput struct {
	ETag     string `header:"ETag" doc:"The key's version, for If-Match"`
	Replayed string `header:"Idempotency-Replayed" doc:"true if the request was a repetition: nothing was done, and this is the first answer"`
	Body     api.Key
}

func (s *service) keyOutput(k *keys.Key) *keyOutput {
	return &keyOutput{ETag: etag(k.Version), Body: wire.Key(k, s.now())}
}

func (s *service) get(ctx context.Context, in *keyInput) (*keyOutput, error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	k, err := m.Key(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := s.keyOutput(k)
	addLastUse(ctx, m, &out.Body, s.now())
	return out, nil
}

// listInput is a [keys.Query]. Every text is checked like free text, so that a key that was
// pasted into a filter is refused and not searched for.
type listInput struct {
	Status         string `query:"status" doc:"active, expiring, expired, disabled or revoked"`
	Unrevoked      bool   `query:"unrevoked" doc:"true leaves revoked keys out"`
	Kind           string `query:"kind" doc:"key or admin"`
	Name           string `query:"name" doc:"Exactly this name"`
	Owner          string `query:"owner" doc:"Exactly this owner; empty: keys without one"`
	IDPrefix       string `query:"id_prefix" doc:"The beginning of the id"`
	Scope          string `query:"scope" doc:"Keys that were granted exactly this scope"`
	Audience       string `query:"audience" doc:"Keys for this server, by name"`
	Search         string `query:"q" doc:"A part of the id, name or owner, in any ASCII case"`
	ExpiringWithin string `query:"expiring_within" doc:"Not revoked, and expired or expiring within this time, such as 14d"`
	ExpiresBy      string `query:"expires_by" doc:"Not revoked, and expiring before this RFC 3339 time"`
	UnusedFor      string `query:"unused_for" doc:"Neither used nor issued for this time, such as 30d. 503 if that is not known, 422 if it reaches back to before use was counted"`
	UnusedBy       string `query:"unused_by" doc:"Neither used nor issued since this RFC 3339 time"`
	Limit          int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Keys a page"`
	Cursor         string `query:"cursor" doc:"next_cursor of the page before"`

	ownerGiven bool
	empty      []string // parameters that were given without a value
}

// Resolve implements [huma.Resolver]: an empty owner is a condition too, and an empty cursor
// asks for the first page.
func (in *listInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.ownerGiven = u.Query().Has("owner")
	in.empty = emptyParameters(ctx, "owner", "cursor")
	return nil
}

// emptyParameters are the names of query parameters without a value, in order, except those in
// but. An unset variable in a script must not mean all rows.
func emptyParameters(ctx huma.Context, but ...string) (names []string) {
	u := ctx.URL()
	for name, values := range u.Query() {
		if values[0] == "" && !slices.Contains(but, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// refuseEmpty refuses a condition without a value.
func refuseEmpty(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return &keys.InvalidError{Field: names[0], Reason: "is empty; give it a value or leave it out"}
}

// ask reads a query from a request, and asks the caller's manager.
func ask[Q, A any](ctx context.Context, s *service, query func(time.Time) (Q, error), method func(admin.Manager, context.Context, Q) (A, error)) (answer A, err error) {
	q, err := query(s.now())
	if err != nil {
		return answer, err
	}
	m, err := s.manager(ctx)
	if err != nil {
		return answer, err
	}
	return method(m, ctx, q)
}

type listOutput struct{ Body api.KeyPage }

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	page, err := ask(ctx, s, in.query, admin.Manager.List)
	if err != nil {
		return nil, err
	}
	out := &listOutput{api.KeyPage{
		Data: make([]api.Key, 0, len(page.Keys)), NextCursor: page.Next,
		UsageKnown: page.LastUsed != nil, Tampered: append([]string{}, page.Tampered...),
	}}
	for _, k := range page.Keys {
		listed := wire.Key(k, s.now())
		listed.LastUsedAt = wire.Moment(page.LastUsed[k.ID].At)
		out.Body.Data = append(out.Body.Data, listed)
	}
	return out, nil
}

func (in *listInput) query(now time.Time) (q keys.Query, err error) {
	if len(in.empty) > 0 { // an unset variable in a script must not mean all keys
		return q, &keys.InvalidError{Field: in.empty[0], Reason: "is empty; give it a value or leave it out"}
	}
	for _, text := range []struct{ field, value string }{
		{"name", in.Name},
		{"owner", in.Owner},
		{"id_prefix", in.IDPrefix},
		{"audience", in.Audience},
		{"q", in.Search},
	} {
		if err := keys.ValidateText(text.field, text.value); err != nil {
			return q, err
		}
	}
	if in.Scope != "" {
		if _, err := keys.CompileScopes([]string{in.Scope}); err != nil { // a scope may be longer than other texts
			return q, &keys.InvalidError{Field: "scope", Reason: "is not a scope that a key can have"}
		}
	}
	q = keys.Query{
		Unrevoked: in.Unrevoked, Name: in.Name, IDPrefix: in.IDPrefix, Scope: in.Scope,
		Audience: in.Audience, Search: in.Search, Limit: in.Limit, Cursor: in.Cursor,
	}
	if in.ownerGiven {
		q.Owner = &in.Owner
	}
	if in.Status != "" {
		if q.Status, err = keys.ParseStatus(in.Status); err != nil {
			return q, err
		}
	}
	if in.Kind != "" {
		if q.Kind, err = keys.ParseKind(in.Kind); err != nil {
			return q, err
		}
	}
	var within, unused time.Duration
	if q.ExpiresBy, within, err = span("expiring_within", in.ExpiringWithin, "expires_by", in.ExpiresBy); err != nil {
		return q, err
	}
	if in.ExpiringWithin != "" {
		q.ExpiresBy = now.Add(within)
	}
	if q.UnusedBy, unused, err = span("unused_for", in.UnusedFor, "unused_by", in.UnusedBy); err != nil {
		return q, err
	}
	if in.UnusedFor != "" {
		q.UnusedBy = now.Add(-unused)
	}
	return q, nil
}

// span parses a condition on time that is given as a duration or as a time.
func span(lengthField, length, momentField, moment string) (by time.Time, d time.Duration, err error) {
	switch {
	case length != "" && moment != "":
		return by, 0, &keys.InvalidError{Field: momentField, Reason: "cannot be combined with " + lengthField + "; use one of them"}
	case length != "":
		if d, err = keys.ParseDuration(length); err != nil {
			return by, 0, &keys.InvalidError{Field: lengthField, Reason: "must be a whole number and a unit, such as 14d or 36h"}
		}
	case moment != "":
		if by, err = time.Parse(time.RFC3339Nano, moment); err != nil || by.IsZero() { // a zero time would mean no condition
			return by, 0, &keys.InvalidError{Field: momentField, Reason: "must be an RFC 3339 time, such as 2027-01-31T00:00:00Z"}
		}
	}
	return by, d, nil
}
