package keyroutes

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

type usageInput struct {
	ID    string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	Since string `query:"since" doc:"A time before now, such as 24h or 7d, a date, or an RFC 3339 time; left out: 24h" example:"7d"`
}

type usageOutput struct{ Body api.Usage }

func (s *service) usage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	since, err := usage.ParseSince(in.Since, s.now())
	if err != nil {
		return nil, err
	}
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	u, err := m.Usage(ctx, in.ID, since)
	if err != nil {
		return nil, err
	}
	return &usageOutput{wire.Usage(in.ID, since, u)}, nil
}

// addLastUse adds the last use to a key. If it is not known, it is left out and the key is
// returned anyway.
func addLastUse(ctx context.Context, m admin.Manager, k *api.Key, now time.Time) {
	if u, err := m.Usage(ctx, k.ID, now); err == nil {
		k.LastUsedAt = wire.Moment(u.LastUsed().At)
	}
}
