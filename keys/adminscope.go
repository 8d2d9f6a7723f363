package keys

import "slices"

// The scopes of admin keys. They name what an admin key may ask of the admin and
// verification APIs, and mean nothing at a guarded server.
const (
	ScopeKeysRead  = "keys:read"
	ScopeKeysWrite = "keys:write"
	ScopeAuditRead = "audit:read"
	ScopeVerify    = "verify"
)

// AdminScopes lists all of them: what an admin key gets when none is named.
func AdminScopes() []string {
	return []string{ScopeKeysRead, ScopeKeysWrite, ScopeAuditRead, ScopeVerify}
}

func isAdminScope(s string) bool { return slices.Contains(AdminScopes(), s) }
