package archtest_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A verifier reads from its source. A store and its peppers are behind that, in verifier/local
// or on another machine, so the verifier names neither.
func TestVerifierKnowsNoStoreAndNoPepper(t *testing.T) {
	for _, p := range load(t) {
		if p.path() != "verifier" && !strings.HasPrefix(p.path(), "verifier/internal/") {
			continue
		}
		for _, name := range p.GoFiles {
			text := read(t, filepath.Join(p.Dir, name))
			for _, word := range []string{"store.Reader", "store.Store", "Peppers", "Digest(", "CheckSeal", "Rehash"} {
				if strings.Contains(text, word) {
					t.Errorf("%s/%s: %q in it, which is for the source to know", p.path(), name, word)
				}
			}
		}
	}
}
