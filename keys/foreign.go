package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"time"
)

// Lengths of a token that another system made, in bytes.
const (
	MinForeignToken = 8
	MaxForeignToken = 256
)

// MaxPerHandle is how many secrets under a slow hash may share a handle: so many hashes
// one token may cost, at the most.
const MaxPerHandle = 4

// handleAt divides a token that is verified slowly: what stands before the first one is
// its public handle, by which the key is found, and what comes after is hashed.
const handleAt = "."

// IsForeignToken reports whether text could be a token that another system made and
// that was imported: printable ASCII of the right length, without what a header would
// not carry, and plainly none of ours.
func IsForeignToken(text string) bool {
	if len(text) < MinForeignToken || len(text) > MaxForeignToken || HasOwnPrefix(text) {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return true
}

// HasOwnPrefix reports whether text begins as the tokens of mcpkeys do: it is one, or a
// broken one, and never a foreign one.
func HasOwnPrefix(text string) bool {
	return strings.HasPrefix(text, KindKey.prefix()) || strings.HasPrefix(text, KindAdmin.prefix())
}

// splitHandle divides a token at its first dot.
func splitHandle(token string) (handle, rest string, ok bool) {
	handle, rest, ok = strings.Cut(token, handleAt)
	return handle, rest, ok && handle != "" && rest != ""
}

// Handle is the public part of a foreign token, before its first dot; empty without one.
func Handle(token string) string {
	handle, _, _ := splitHandle(token)
	return handle
}

// Lookups are the values under which a foreign token may be found, see
// [KeySecret].Lookup: a few for each pepper. They say nothing about the token without
// the pepper.
func (p *Peppers) Lookups(token Secret) [][]byte {
	text := token.Reveal()
	handle, _, slow := splitHandle(text)
	list := make([][]byte, 0, 3*len(p.order))
	for _, one := range p.order {
		list = append(list, one.lookup(SchemeSHA256, sumOf(SchemeSHA256, text)), one.lookup(SchemeSHA512, sumOf(SchemeSHA512, text)))
		if sum := sumOf(SchemeAfterBar, text); sum != "" {
			list = append(list, one.lookup(SchemeAfterBar, sum))
		}
		if slow {
			list = append(list, one.lookup(SchemeBcrypt, handle))
		}
	}
	return list
}

// lookup is a keyed hash of what finds a secret: of the sum of the whole token, or of
// the handle. What scheme is meant is part of it.
func (one *pepper) lookup(scheme Scheme, of string) []byte {
	kind := string(scheme)
	if scheme.Slow() {
		kind = "handle"
	}
	d := one.index(kind + ":" + of)
	return d[:]
}

// sumOf is what finds a token under a scheme that is not slow; empty where the token is
// not of the scheme's form.
func sumOf(scheme Scheme, token string) string {
	if scheme == SchemeAfterBar {
		id, rest, ok := strings.Cut(token, barAt)
		if !ok || id == "" || rest == "" {
			return ""
		}
		sum := sha256.Sum256([]byte(rest))
		return afterBar(id, string(sum[:]))
	}
	if scheme == SchemeSHA512 {
		sum := sha512.Sum512([]byte(token))
		return string(sum[:])
	}
	sum := sha256.Sum256([]byte(token))
	return string(sum[:])
}

// afterBar binds the sum of a token's second part to its first: with another id before
// the bar it is another token.
func afterBar(id, sum string) string { return id + barAt + sum }

// fast is the digest of token under a scheme that is not slow. For the sums of other
// systems it is a keyed hash of the sum, which is all that was imported.
func (one *pepper) fast(scheme Scheme, token string) Digest {
	switch scheme {
	case SchemeHMAC:
		return one.digest(token)
	case SchemeSHA256, SchemeSHA512, SchemeAfterBar:
		return one.digest(string(scheme) + ":" + sumOf(scheme, token))
	}
	return Digest{} // no scheme that we know; nothing verifies
}

// Imported reports whether the secret is that of an imported token, which keeps the
// form that another system gave it.
func (s *KeySecret) Imported() bool { return s.Lookup != nil }

// ImportedUnder is the scheme of an imported secret; empty for one of our own.
func (s *KeySecret) ImportedUnder() Scheme {
	if !s.Imported() {
		return ""
	}
	return s.Scheme
}

// importSum makes the secret of a token of which a sum is known.
func (p *Peppers) importSum(h OldHash, at time.Time) KeySecret {
	d := p.current.digest(string(h.scheme) + ":" + h.stored)
	return p.imported(h.scheme, d[:], h.stored, at)
}

// importSlow makes the secret of a token of which a slow hash is known.
func (p *Peppers) importSlow(h OldHash, handle string, at time.Time) KeySecret {
	return p.imported(h.scheme, []byte(h.stored), handle, at)
}

// importToken makes the secret of a token that is known itself. A weak one gets a slow
// hash: it could be guessed from a fast one by whoever has the pepper.
func (p *Peppers) importToken(token Secret, at time.Time) KeySecret {
	text := token.Reveal()
	if isStrong(text) {
		d := p.current.digest(text)
		s := p.imported(SchemeHMAC, d[:], "", at)
		s.Lookup = p.current.lookup(SchemeSHA256, sumOf(SchemeSHA256, text))
		return s
	}
	handle, rest, _ := splitHandle(text)
	return p.importSlow(slowHash(rest), handle, at)
}

// carried makes the secret of a key that an export wrote down under a pepper of ours.
func (p *Peppers) carried(h OldHash, at time.Time) KeySecret {
	return KeySecret{Number: 1, Scheme: h.scheme, PepperID: h.under, Digest: []byte(h.stored), Lookup: h.lookup, CreatedAt: at}
}

func (p *Peppers) imported(scheme Scheme, digest []byte, find string, at time.Time) KeySecret {
	return KeySecret{
		Number: 1, Scheme: scheme, PepperID: p.current.id, Digest: digest,
		Lookup: p.current.lookup(scheme, find), CreatedAt: at,
	}
}

// slowHash is argon2id with the parameters that OWASP names first.
func slowHash(text string) OldHash {
	a := argon2id{memory: 19 * 1024, time: 2, threads: 1, salt: make([]byte, 16), sum: make([]byte, 32)}
	_, _ = rand.Read(a.salt) // documented to never fail
	a.sum = a.of(text)
	return OldHash{scheme: SchemeArgon2id, stored: a.String()}
}

// renewedImport returns the secret s of a foreign token, just proved, as it shall be
// from now on: a strong token under HMAC like our own, a weak one under the hash that
// it has, and both under the current pepper.
func (p *Peppers) renewedImport(s *KeySecret, token Secret) KeySecret {
	text, fresh := token.Reveal(), *s
	fresh.PepperID = p.current.id
	handle, _, _ := splitHandle(text)
	switch {
	case s.Scheme == SchemeHMAC || isStrong(text):
		d := p.current.digest(text)
		fresh.Scheme, fresh.Digest = SchemeHMAC, d[:]
		fresh.Lookup = p.current.lookup(SchemeSHA256, sumOf(SchemeSHA256, text))
	case s.Scheme.Slow():
		fresh.Lookup = p.current.lookup(s.Scheme, handle)
	default:
		d := p.current.fast(s.Scheme, text)
		fresh.Digest = d[:]
		fresh.Lookup = p.current.lookup(s.Scheme, sumOf(s.Scheme, text))
	}
	return fresh
}

// ImportedID is what an imported key was called where it came from, if that is known.
func (k *Key) ImportedID() string { return k.Metadata[metaImportedID] }

// Hash renders what verifies the secret, for an export; [ParseOldHash] reads it. A slow
// hash is as it came; the rest is under a pepper and of use beside that alone. It tells
// nothing that the database does not hold.
func (s *KeySecret) Hash() string {
	if s.Scheme.Slow() {
		return string(s.Digest)
	}
	text := string(SchemeHMAC) + ":" + s.PepperID + ":" + hex.EncodeToString(s.Digest)
	if s.Imported() {
		text += ":" + hex.EncodeToString(s.Lookup)
	}
	if s.Scheme != SchemeHMAC { // the keyed hash of a sum
		text = string(s.Scheme) + "+" + text
	}
	return text
}
