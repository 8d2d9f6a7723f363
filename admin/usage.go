package admin

import (
	"context"
	"net/netip"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
)

type usageInput struct {
	ID    string `path:"id" doc:"The key's id" example:"8Jd0sLmQ2xYz"`
	Since string `query:"since" doc:"A time before now, such as 24h or 7d, a date, or an RFC 3339 time; left out: 24h" example:"7d"`
}

type usageOutput struct{ Body api.Usage }

func (s *service) usage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	since, err := keys.ParseSince(in.Since, s.now())
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
	out := &usageOutput{api.Usage{ID: in.ID, Since: since.UTC(), Began: u.Since, LastUsed: []api.LastUse{}, Counts: []api.UseCount{}}}
	for _, l := range u.Last {
		out.Body.LastUsed = append(out.Body.LastUsed, api.LastUse{Secret: l.Secret, At: l.At, ClientIP: addrText(l.ClientIP), Agent: l.Agent})
	}
	for _, c := range u.Counts {
		out.Body.Counts = append(out.Body.Counts, api.UseCount{Hour: c.Hour, Code: string(c.Code), Scope: c.Scope, Calls: c.Calls})
	}
	return out, nil
}

// addLastUse completes a key that was asked for. What is not known is left out: the
// key is there all the same.
func addLastUse(ctx context.Context, m keys.Manager, k *api.Key, now time.Time) {
	if u, err := m.Usage(ctx, k.ID, now); err == nil {
		k.LastUsedAt = moment(u.LastUsed().At)
	}
}

func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
