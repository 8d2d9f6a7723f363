package client

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Denials implements [admin.Manager]. An invalid source becomes unknown.
func (c *Client) Denials(ctx context.Context, q store.DenialQuery) ([]usage.Denial, error) {
	if q.KeyID != "" && !keys.ValidID(q.KeyID) {
		return nil, nil
	}
	query := url.Values{}
	for name, value := range map[string]string{"key_id": q.KeyID, "code": string(q.Code)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(q.Limit, 2*usage.DenialsKept)))
	}
	var answer api.Denials
	if err := c.get(ctx, "/v1/denials", query, &answer); err != nil {
		return nil, err
	}
	var list []usage.Denial
	for _, d := range answer.Data {
		source, err := netip.ParsePrefix(d.Source)
		if err != nil {
			source = netip.Prefix{}
		}
		list = append(list, usage.Denial{
			Minute: d.Minute, Code: keys.Code(d.Code), KeyID: d.KeyID, Proved: d.Proved,
			Source: source, Audience: d.Audience, Scope: d.Scope, Offered: d.Offered, Agent: usage.AgentOf(d.Agent), Calls: d.Calls,
		})
	}
	return list, nil
}
