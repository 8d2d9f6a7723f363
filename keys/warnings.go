package keys

import "time"

// Warnings lists, at now, settings of k that are allowed but seldom meant, a sentence
// each. Every answer to an issue, an edit and a rotation includes them.
func (k *Key) Warnings(now time.Time) []string {
	var out []string
	if k.Kind == KindKey && len(k.Audience) == 0 {
		out = append(out, "the key names no audience, so it is valid at every server")
	}
	if len(k.Scopes) == 0 {
		out = append(out, "the key has no scopes, so it can call nothing that needs one")
	}
	switch {
	case k.ExpiresAt.IsZero():
		out = append(out, "the key never expires, so it is valid until it is revoked")
	case k.Expired(now):
		out = append(out, "the key has expired, so it is refused; issue a new key")
	case k.Version > 1 && k.ExpiresAt.Sub(now) < ExpiringWithin: // the issuer of a new key has just said when it ends
		out = append(out, "the key expires "+k.ExpiresAt.Format(time.RFC3339)+", in less than 14 days, with all its secrets; a new expiry renews it")
	}
	return out
}
