package keys

// Warnings tells whoever issued k what is allowed and seldom meant, a sentence
// each.
func (k *Key) Warnings() []string {
	var out []string
	if k.Kind == KindKey && len(k.Audience) == 0 {
		out = append(out, "it names no audience, so it is good at every server of this deployment")
	}
	if len(k.Scopes) == 0 {
		out = append(out, "it has no scopes, so it can call nothing that needs one")
	}
	if k.ExpiresAt.IsZero() {
		out = append(out, "it never expires, so it is good until somebody revokes it")
	}
	return out
}
