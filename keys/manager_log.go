package keys

import "context"

// Audit implements [Manager].
func (m *LocalManager) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	return m.store.Audit(ctx, q)
}

// Audit implements [Manager]. It needs [ScopeAuditRead], and then shows all of the log,
// as List shows all keys: a caller's audience limits what it may hand out, not what it
// may see.
func (d *Delegate) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	if err := d.may(ScopeAuditRead); err != nil {
		return AuditPage{}, err
	}
	return d.manager.Audit(ctx, q)
}

// Denials implements [Manager].
func (m *LocalManager) Denials(ctx context.Context, q DenialQuery) ([]Denial, error) {
	return m.store.Denials(ctx, q)
}

// Denials implements [Manager]. It needs [ScopeAuditRead], like Audit.
func (d *Delegate) Denials(ctx context.Context, q DenialQuery) ([]Denial, error) {
	if err := d.may(ScopeAuditRead); err != nil {
		return nil, err
	}
	return d.manager.Denials(ctx, q)
}
