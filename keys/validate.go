package keys

import (
	"net/netip"
	"strings"
	"unicode"
)

// Limits of a key's lists.
const (
	maxScopes     = 256
	maxAudience   = 32
	maxAllowedIPs = 64
	maxMetadata   = 32
)

// Validate reports the rules that k breaks, the first one of each field: an
// [*InvalidError], or several, which [Faults] lists. Only the store can tell whether the
// name is taken.
func (k *Key) Validate() error {
	kind := validateKind(k.Kind)
	scopes := error(nil)
	if kind == nil { // scopes depend on the kind
		scopes = ValidateScopes(k.Kind, k.Scopes)
	}
	return AllOf(
		validateName(k.Name), ValidateText("owner", k.Owner), kind, scopes, validateAudience(k.Audience),
		validateAllowedIPs(k.AllowedIPs), k.RateLimit.Validate(), k.validateKeyLife(), validateMetadata(k.Metadata),
	)
}

func validateKind(kind Kind) error {
	if kind != KindKey && kind != KindAdmin {
		return Invalid("kind", "must be key or admin")
	}
	return nil
}

// ValidateScopes holds the rules for the scopes of a key of that kind.
func ValidateScopes(kind Kind, scopes []string) error {
	if len(scopes) > maxScopes {
		return Invalid("scopes", "must be at most %d; use a wildcard such as tools:get_*", maxScopes)
	}
	if _, err := CompileScopes(scopes); err != nil {
		return err
	}
	if kind != KindAdmin {
		return nil
	}
	for _, s := range scopes {
		if !isAdminScope(s) {
			return Invalid("scopes", "of an admin key must be among %s", strings.Join(AdminScopes(), ", "))
		}
	}
	return nil
}

func validateAudience(audience []string) error {
	if len(audience) > maxAudience {
		return Invalid("audience", "must be at most %d servers", maxAudience)
	}
	for _, a := range audience {
		if err := ValidateAudience(a); err != nil {
			return err
		}
	}
	return nil
}

// ValidateAudience holds the rule for a server's name: printable characters except spaces and
// commas, such as weather or https://mcp.example/mcp.
func ValidateAudience(a string) error {
	if a == "" || strings.IndexFunc(a, unicode.IsSpace) >= 0 {
		return Invalid("audience", "must be a server's name or URL without spaces, such as weather")
	}
	if strings.Contains(a, ",") {
		return Invalid("audience", "must not contain a comma: give each server separately")
	}
	return ValidateText("audience", a)
}

func validateAllowedIPs(prefixes []netip.Prefix) error {
	if len(prefixes) > maxAllowedIPs {
		return Invalid("allowed_ips", "must be at most %d ranges", maxAllowedIPs)
	}
	for _, p := range prefixes {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return Invalid("allowed_ips", "must be CIDR ranges such as 10.0.0.0/8 or 2001:db8::/32")
		}
	}
	return nil
}

// ParseAllowedIP reads a CIDR range or a single address. A range with host bits set is
// refused, because it may be meant as that address or as the whole range. IPv4 written as
// IPv6 becomes IPv4.
func ParseAllowedIP(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || (p.Addr().Is4In6() && p.Bits() < 96) {
		return netip.Prefix{}, Invalid("allowed_ips", "must be CIDR ranges or addresses, such as 10.0.0.0/8 or 2001:db8::1")
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return netip.Prefix{}, Invalid("allowed_ips", "contains a range with host bits set: use %s for the whole range, or %s for one address", p.Masked(), p.Addr())
	}
	return p, nil
}

// ParseAllowedIPs reads each text with [ParseAllowedIP]. It returns nil for no texts.
func ParseAllowedIPs(texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := ParseAllowedIP(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func validateMetadata(metadata map[string]string) error {
	if len(metadata) > maxMetadata {
		return Invalid("metadata", "must be at most %d entries", maxMetadata)
	}
	for name, value := range metadata {
		if name == "" {
			return Invalid("metadata", "must not have an empty name")
		}
		if err := ValidateText("metadata", name); err != nil {
			return err
		}
		if err := ValidateText("metadata", value); err != nil {
			return err
		}
	}
	return nil
}
