package pepper

import (
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Superseded finds the one of list that token proves, or nil. It takes as long as a
// comparison with one secret, even if list is empty, so that timing does not show whether
// a key was rotated. It skips secrets with a slow hash.
func (p *Set) Superseded(list []keys.Superseded, token keys.Secret, now time.Time) *keys.Superseded {
	text := token.Reveal()
	digests := map[string]Digest{p.current.id + string(keys.SchemeHMAC): p.current.digest(text)}
	var found *keys.Superseded
	for i := range list {
		s := &list[i]
		pepper, ok := p.byID[s.PepperID]
		if !ok || s.Scheme.Slow() || !s.Kept(now) {
			continue
		}
		made := s.PepperID + string(s.Scheme)
		digest, ok := digests[made]
		if !ok {
			digest = pepper.fast(s.Scheme, text)
			digests[made] = digest
		}
		if digest.Equal(s.Digest) {
			found = s
		}
	}
	return found
}
