package keys

// Kind is one of the two sorts of keys. Neither is accepted in place of the other.
type Kind string

const (
	// KindKey is an ordinary key (mcpk_…): it opens MCP servers and other guarded
	// services, and never the admin API.
	KindKey Kind = "key"
	// KindAdmin is an admin key (mcpa_…): it opens the admin and verification
	// APIs, and never a guarded service.
	KindAdmin Kind = "admin"
)

const (
	prefixKey   = "mcpk_"
	prefixAdmin = "mcpa_"
)

func (k Kind) prefix() string {
	if k == KindAdmin {
		return prefixAdmin
	}
	return prefixKey
}

func kindOfPrefix(p string) (Kind, bool) {
	switch p {
	case prefixKey:
		return KindKey, true
	case prefixAdmin:
		return KindAdmin, true
	}
	return "", false
}

// ParseKind reads "key" or "admin".
func ParseKind(text string) (Kind, error) {
	if k := Kind(text); k == KindKey || k == KindAdmin {
		return k, nil
	}
	return "", Invalid("kind", "must be key or admin")
}
