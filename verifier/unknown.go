package verifier

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/maypok86/otter/v2"
)

// maxUnknown is how many unknown tokens are remembered.
const maxUnknown = 65_536

// unknown remembers whole tokens that no key has, so that a client which keeps
// coming with a wrong one costs no look at the database. It remembers tokens, never
// ids: whoever sends junk with a known id must not shut its owner out. Any change of
// any key forgets all of it, because the key that was missing may be the one issued.
type unknown struct {
	key    [sha256.Size]byte // of this process, so that nobody can aim at a mark
	tokens *otter.Cache[[sha256.Size]byte, uint64]
}

func newUnknown() (unknown, error) {
	tokens, err := otter.New(&otter.Options[[sha256.Size]byte, uint64]{MaximumSize: maxUnknown, Executor: atOnce})
	u := unknown{tokens: tokens}
	_, _ = rand.Read(u.key[:]) // documented to never fail
	return u, err
}

// mark is what stands for a token.
func (u *unknown) mark(token string) [sha256.Size]byte {
	text := make([]byte, 0, 128)
	text = append(append(text, u.key[:]...), token...)
	return sha256.Sum256(text)
}

// has reports whether the token was unknown in this generation, which moves with
// every change. The generation is read before the store is.
func (u *unknown) has(mark [sha256.Size]byte, generation uint64) bool {
	g, ok := u.tokens.GetIfPresent(mark)
	return ok && g == generation
}

func (u *unknown) add(mark [sha256.Size]byte, generation uint64) { u.tokens.Set(mark, generation) }
