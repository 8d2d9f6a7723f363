package admin

import (
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
)

func (s *service) now() time.Time {
	if s.options != nil && s.options.Now != nil {
		return s.options.Now()
	}
	return time.Now() //nolint:forbidigo // the default clock
}

// wire shows k as the API does.
func (s *service) wire(k *keys.Key) api.Key {
	out := api.Key{
		ID: k.ID, Name: k.Name, Owner: k.Owner, Kind: string(k.Kind),
		Scopes: list(k.Scopes), Audience: list(k.Audience), AllowedIPs: []string{},
		RateLimit: k.RateLimit.String(), Metadata: k.Metadata, Status: string(k.Status(s.now())),
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: moment(k.ExpiresAt),
		DisabledAt: moment(k.DisabledAt), RevokedAt: moment(k.RevokedAt), RevokedReason: k.RevokedReason,
		MaxKeyLife: keys.FormatKeyLife(k.MaxKeyLife), Version: k.Version, Secrets: []api.KeySecret{},
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	for _, p := range k.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	for _, secret := range k.Secrets {
		out.Secrets = append(out.Secrets, api.KeySecret{
			Number: secret.Number, CreatedAt: secret.CreatedAt, ExpiresAt: moment(secret.ExpiresAt), Imported: string(secret.ImportedUnder()),
		})
	}
	return out
}

// list makes an empty list of none.
func list(texts []string) []string { return append([]string{}, texts...) }

// moment makes null of a time that is not set.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
