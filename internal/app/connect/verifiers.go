package connect

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Verifiers returns the guards on other hosts that have a lease: of the server, or of all
// servers of this machine's key store. Each of these servers writes its list about once a
// second.
func (s Settings) Verifiers(ctx context.Context) ([]api.Verifier, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Server != "" {
		c, err := s.client(ctx)
		if err != nil {
			return nil, err
		}
		list, err := c.Verifiers(ctx)
		_ = c.Close() // the list was read
		return list, err
	}
	if err := s.Local(); err != nil {
		return nil, err
	}
	servers, err := sqlite.Servers(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	var all []api.Verifier
	for _, one := range servers {
		var list []api.Verifier
		if one.Running && json.Unmarshal(one.List, &list) == nil {
			all = slices.Concat(all, list)
		}
	}
	return all, nil
}
