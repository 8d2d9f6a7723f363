package keyroutes

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

type denialsInput struct {
	KeyID string `query:"key_id" doc:"Refused with exactly this key id"`
	Code  string `query:"code" doc:"Refused with exactly this code, such as revoked"`
	Since string `query:"since" doc:"In this minute or later: a time before now, such as 1h, a date, or an RFC 3339 time"`
	Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"50" doc:"Rows"`

	empty []string // parameters that were given without a value
}

// Resolve implements [huma.Resolver].
func (in *denialsInput) Resolve(ctx huma.Context) []error {
	in.empty = emptyParameters(ctx)
	return nil
}

type denialsOutput struct{ Body api.Denials }

func (s *service) denials(ctx context.Context, in *denialsInput) (*denialsOutput, error) {
	list, err := ask(ctx, s, in.query, admin.Manager.Denials)
	if err != nil {
		return nil, err
	}
	out := &denialsOutput{api.Denials{Data: make([]api.Denial, 0, len(list))}}
	for _, d := range list {
		out.Body.Data = append(out.Body.Data, wire.Denial(d))
	}
	return out, nil
}

func (in *denialsInput) query(now time.Time) (q store.DenialQuery, err error) {
	if err := refuseEmpty(in.empty); err != nil {
		return q, err
	}
	q = store.DenialQuery{KeyID: in.KeyID, Limit: in.Limit}
	if in.KeyID != "" && !keys.ValidID(in.KeyID) {
		return q, &keys.InvalidError{Field: "key_id", Reason: "must be the id of a key, 12 letters and digits"}
	}
	if in.Code != "" {
		if q.Code, err = usage.ParseCode(in.Code); err != nil {
			return q, err
		}
	}
	if in.Since != "" {
		q.Since, err = usage.ParseSince(in.Since, now)
	}
	return q, err
}
