package client

import (
	"context"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

// Verifiers returns the guards on other hosts that have a lease of this server.
func (c *Client) Verifiers(ctx context.Context) ([]api.Verifier, error) {
	var answer api.Verifiers
	if err := c.get(ctx, "/v1/verifiers", nil, &answer); err != nil {
		return nil, err
	}
	return answer.Data, nil
}
