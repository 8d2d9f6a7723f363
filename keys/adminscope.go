package keys

import "slices"

// The scopes of admin keys. They say what an admin key may do in the admin and
// verification APIs. Guarded servers do not use them.
const (
	ScopeKeysRead  = "keys:read"
	ScopeKeysWrite = "keys:write"
	ScopeAuditRead = "audit:read"
	ScopeVerify    = "verify"
)

// AdminScopes lists all scopes of admin keys. An admin key gets them if no scopes are given.
func AdminScopes() []string {
	return []string{ScopeKeysRead, ScopeKeysWrite, ScopeAuditRead, ScopeVerify}
}

func isAdminScope(s string) bool { return slices.Contains(AdminScopes(), s) }
