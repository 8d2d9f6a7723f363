package pepper

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// handleAt divides a token with a slow hash: the part before the first one is its public
// handle, by which the key is found, and the part after it is hashed.
const handleAt = "."

// splitHandle divides a token at its first dot.
func splitHandle(token string) (handle, rest string, ok bool) {
	handle, rest, ok = strings.Cut(token, handleAt)
	return handle, rest, ok && handle != "" && rest != ""
}

// Handle is the public part of an imported token, before its first dot; empty without one.
func Handle(token string) string {
	handle, _, _ := splitHandle(token)
	return handle
}

// Lookups are the values by which an imported token may be found, see
// [keys.KeySecret].Lookup: a few for each pepper. Without the pepper they reveal nothing
// about the token.
func (p *Set) Lookups(token keys.Secret) [][]byte {
	text := token.Reveal()
	handle, _, slow := splitHandle(text)
	list := make([][]byte, 0, 3*len(p.order))
	for _, one := range p.order {
		list = append(list, one.lookup(keys.SchemeSHA256, sumOf(keys.SchemeSHA256, text)), one.lookup(keys.SchemeSHA512, sumOf(keys.SchemeSHA512, text)))
		if sum := sumOf(keys.SchemeAfterBar, text); sum != "" {
			list = append(list, one.lookup(keys.SchemeAfterBar, sum))
		}
		if slow {
			list = append(list, one.lookup(keys.SchemeBcrypt, handle))
		}
	}
	return list
}

// lookup is a keyed hash of the scheme and of what finds a secret: the sum of the whole
// token, or the handle.
func (one *pepper) lookup(scheme keys.Scheme, of string) []byte {
	kind := string(scheme)
	if scheme.Slow() {
		kind = "handle"
	}
	d := one.index(kind + ":" + of)
	return d[:]
}

// sumOf is what finds a token of a scheme that is not slow; empty if the token does not
// have the scheme's form.
func sumOf(scheme keys.Scheme, token string) string {
	if scheme == keys.SchemeAfterBar {
		id, rest, ok := strings.Cut(token, barAt)
		if !ok || id == "" || rest == "" {
			return ""
		}
		sum := sha256.Sum256([]byte(rest))
		return afterBar(id, string(sum[:]))
	}
	if scheme == keys.SchemeSHA512 {
		sum := sha512.Sum512([]byte(token))
		return string(sum[:])
	}
	sum := sha256.Sum256([]byte(token))
	return string(sum[:])
}

// afterBar binds the sum of a token's second part to its first, because with another id
// before the bar it is another token.
func afterBar(id, sum string) string { return id + barAt + sum }

// fast is the digest of token for a scheme that is not slow. For sums of other systems it
// is a keyed hash of the sum, because only the sum was imported.
func (one *pepper) fast(scheme keys.Scheme, token string) Digest {
	switch scheme {
	case keys.SchemeHMAC:
		return one.digest(token)
	case keys.SchemeSHA256, keys.SchemeSHA512, keys.SchemeAfterBar:
		return one.digest(string(scheme) + ":" + sumOf(scheme, token))
	}
	return Digest{} // unknown scheme: nothing verifies
}

// importSum makes the secret of a token of which a sum is known.
func (p *Set) importSum(h Hash, at time.Time) keys.KeySecret {
	d := p.current.digest(string(h.scheme) + ":" + h.stored)
	return p.imported(h.scheme, d[:], h.stored, at)
}

// importSlow makes the secret of a token of which a slow hash is known.
func (p *Set) importSlow(h Hash, handle string, at time.Time) keys.KeySecret {
	return p.imported(h.scheme, []byte(h.stored), handle, at)
}

// importToken makes the secret of a known token. A weak one gets a slow hash: from a fast
// one it could be guessed with the pepper.
func (p *Set) importToken(token keys.Secret, at time.Time) keys.KeySecret {
	text := token.Reveal()
	if isStrong(text) {
		d := p.current.digest(text)
		s := p.imported(keys.SchemeHMAC, d[:], "", at)
		s.Lookup = p.current.lookup(keys.SchemeSHA256, sumOf(keys.SchemeSHA256, text))
		return s
	}
	handle, rest, _ := splitHandle(text)
	return p.importSlow(slowHash(rest), handle, at)
}

// carried makes the secret of a key that was exported with a pepper of this store.
func (p *Set) carried(h Hash, at time.Time) keys.KeySecret {
	return keys.KeySecret{Number: 1, Scheme: h.scheme, PepperID: h.under, Digest: []byte(h.stored), Lookup: h.lookup, CreatedAt: at}
}

func (p *Set) imported(scheme keys.Scheme, digest []byte, find string, at time.Time) keys.KeySecret {
	return keys.KeySecret{
		Number: 1, Scheme: scheme, PepperID: p.current.id, Digest: digest,
		Lookup: p.current.lookup(scheme, find), CreatedAt: at,
	}
}

// slowHash is argon2id with the parameters that OWASP names first.
func slowHash(text string) Hash {
	a := argon2id{memory: 19 * 1024, time: 2, threads: 1, salt: make([]byte, 16), sum: make([]byte, 32)}
	_, _ = rand.Read(a.salt) // documented to never fail
	a.sum = a.of(text)
	return Hash{scheme: keys.SchemeArgon2id, stored: a.String()}
}

// renewedImport returns the new form of secret s of an imported token, just proved: HMAC
// for a strong token, the same hash for a weak one, both with the current pepper.
func (p *Set) renewedImport(s *keys.KeySecret, token keys.Secret) keys.KeySecret {
	text, fresh := token.Reveal(), *s
	fresh.PepperID = p.current.id
	handle, _, _ := splitHandle(text)
	switch {
	case s.Scheme == keys.SchemeHMAC || isStrong(text):
		d := p.current.digest(text)
		fresh.Scheme, fresh.Digest = keys.SchemeHMAC, d[:]
		fresh.Lookup = p.current.lookup(keys.SchemeSHA256, sumOf(keys.SchemeSHA256, text))
	case s.Scheme.Slow():
		fresh.Lookup = p.current.lookup(s.Scheme, handle)
	default:
		d := p.current.fast(s.Scheme, text)
		fresh.Digest = d[:]
		fresh.Lookup = p.current.lookup(s.Scheme, sumOf(s.Scheme, text))
	}
	return fresh
}

// Imported is what is known of a token that another system made: the token
// itself, or a hash of it. Bind the hash to the id first, see [Hash.Bind].
type Imported struct {
	Token keys.Secret
	Hash  Hash
	ID    string // the public id that it had; for a slow hash the handle, which finds it
	KeyID string // the id of a key that another mcpkeys store exported
}

// ImportedSecret makes the first secret of an imported key. It refuses one that cannot be
// found, can be guessed, or would verify nothing here, with a [*keys.InvalidError] that
// does not repeat the token or the hash.
func (p *Set) ImportedSecret(c Imported, at time.Time) (keys.KeySecret, error) {
	switch {
	case c.Token.IsZero() == c.Hash.IsZero():
		return keys.KeySecret{}, keys.Invalid("key", "set exactly one of key and hash")
	case !c.Token.IsZero():
		return p.secretOfToken(c.Token, at)
	case c.Hash.under != "":
		return p.secretOfExport(&c, at)
	case !c.Hash.scheme.Slow():
		return p.importSum(c.Hash, at), nil
	case c.ID == "":
		return keys.KeySecret{}, keys.Invalid("id", "is required with a %s hash: the part of the token before its first dot", c.Hash.scheme)
	case !isHandle(c.ID):
		return keys.KeySecret{}, keys.Invalid("id", "must be the part of the token before its first dot: printable ASCII without spaces, commas and dots, at most %d characters", keys.MaxText)
	}
	return p.importSlow(c.Hash, c.ID, at), nil
}

func (p *Set) secretOfToken(token keys.Secret, at time.Time) (keys.KeySecret, error) {
	text := token.Reveal()
	_, _, divided := splitHandle(text)
	switch {
	case keys.HasOwnPrefix(text):
		return keys.KeySecret{}, keys.Invalid("key", "is an mcpkeys key, which only works in the key store that issued it; move that store with backup and restore")
	case !keys.HasImportedForm(text):
		return keys.KeySecret{}, keys.Invalid("key", "must be %d to %d characters of printable ASCII without spaces and commas", keys.MinImportedToken, keys.MaxImportedToken)
	case !isStrong(text) && !divided:
		return keys.KeySecret{}, keys.Invalid("key", "is short enough to be guessed, and has no public id before a dot; issue a new key")
	}
	return p.importToken(token, at), nil
}

// carriedSecret takes over the digest of a key of another key store, which only the same
// pepper can verify.
func (p *Set) secretOfExport(c *Imported, at time.Time) (keys.KeySecret, error) {
	switch {
	case p.byID[c.Hash.under] == nil:
		return keys.KeySecret{}, keys.Invalid("hash", "needs pepper %s, which this key store's pepper file does not contain; move the key store with backup and restore, or issue a new key", c.Hash.under)
	case c.Hash.lookup == nil && !keys.ValidID(c.KeyID):
		return keys.KeySecret{}, keys.Invalid("key_id", "is required with this hash: the key's id in the store that exported it")
	}
	return p.carried(c.Hash, at), nil
}

func isHandle(id string) bool {
	if len(id) > keys.MaxText {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == ',' || c == handleAt[0] {
			return false
		}
	}
	return !keys.HasOwnPrefix(id)
}

// LookupsOfHash are the values by which a secret with that hash may be found, one for each
// pepper; id is the handle of a slow one.
func (p *Set) LookupsOfHash(h Hash, id string) (list [][]byte) {
	of := h.stored
	if h.scheme.Slow() {
		of = id
	}
	for _, one := range p.order {
		list = append(list, one.lookup(h.scheme, of))
	}
	return list
}
