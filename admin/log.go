package admin

import (
	"context"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// Audit implements [Manager].
func (m *Local) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	return m.store.Audit(ctx, q)
}

// Audit implements [Manager]. It needs [keys.ScopeAuditRead], and then shows all of the log, as
// List shows all keys: a caller's audience limits what it may grant, not what it may see.
func (d *Restricted) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	if err := d.may(keys.ScopeAuditRead); err != nil {
		return audit.Page{}, err
	}
	return d.manager.Audit(ctx, q)
}

// Denials implements [Manager].
func (m *Local) Denials(ctx context.Context, q store.DenialQuery) ([]usage.Denial, error) {
	return m.store.Denials(ctx, q)
}

// Denials implements [Manager]. It needs [keys.ScopeAuditRead], like Audit.
func (d *Restricted) Denials(ctx context.Context, q store.DenialQuery) ([]usage.Denial, error) {
	if err := d.may(keys.ScopeAuditRead); err != nil {
		return nil, err
	}
	return d.manager.Denials(ctx, q)
}
