package keys

import (
	"hash/crc32"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
	"github.com/mcpkeys/mcpkeys/keys/internal/shape"
)

// Sizes of a token, in bytes. The whole fits one SHA-256 block.
const (
	// IDLen is the length of a key's public id.
	IDLen = 12
	// TokenLen is the length of a whole token.
	TokenLen = prefixLen + IDLen + 1 + secretLen + checkLen

	prefixLen = 5 // "mcpk_" or "mcpa_"
	secretLen = shape.SecretLen
	checkLen  = 6 // a CRC-32 in base62

	idStart   = prefixLen
	idEnd     = idStart + IDLen
	textStart = idEnd + 1
	checkAt   = textStart + secretLen
)

// Token is a well-formed token with correct check digits. Only a store with its pepper
// can tell whether it is a key. A key is shown once, as a token of 54 characters:
//
//	mcpk_<id:12>_<secret:30><check:6>
//
// Letters and digits only (base62), so that a double click selects all of it. Admin keys
// begin with mcpa_. The id is public: it appears in logs, lists and URLs. The secret has 178
// random bits. The check is a CRC-32 that catches typing errors before the store is read; it
// proves nothing.
//
// The zero Token is not valid.
type Token struct {
	id   string
	kind Kind
	text Secret
}

// NewToken draws a fresh token of the given kind from crypto/rand: 71 random bits
// of id, 178 of secret.
func NewToken(kind Kind) Token {
	return NewTokenFor(kind, NewID())
}

// NewTokenFor draws a fresh token for the key of that kind and id, as [NewToken] does.
func NewTokenFor(kind Kind, id string) Token {
	body := kind.prefix() + id + "_" + base62.Random(secretLen)
	return Token{id: id, kind: kind, text: NewSecret(body + checkDigits(body))}
}

// ParseToken reads a token exactly as it was issued. Anything else, even one space more,
// is [ErrMalformed]; the error never repeats the text. It does not trim, fold case or
// normalise Unicode.
func ParseToken(text string) (Token, error) {
	id, kind, err := parseToken(text)
	if err != nil {
		return Token{}, err
	}
	return Token{id: id, kind: kind, text: NewSecret(text)}, nil
}

// IsToken reports whether [ParseToken] accepts text. It does not allocate.
func IsToken(text string) bool {
	_, _, err := parseToken(text)
	return err == nil
}

// parseToken is strict: prefix, two underscores, base62, check. It checks the length
// first, so longer input is not read.
func parseToken(text string) (id string, kind Kind, err error) {
	if len(text) != TokenLen || text[idEnd] != '_' {
		return "", "", ErrMalformed
	}
	kind, ok := kindOfPrefix(text[:prefixLen])
	if !ok || !base62.Is(text[idStart:idEnd]) || !base62.Is(text[textStart:]) {
		return "", "", ErrMalformed
	}
	var want [checkLen]byte
	writeCheck(&want, text[:checkAt])
	if text[checkAt:] != string(want[:]) { // not secret: computed from what the caller sent
		return "", "", ErrMalformed
	}
	return text[idStart:idEnd], kind, nil
}

// checkDigits returns the CRC-32 (IEEE) of body in six base62 digits.
func checkDigits(body string) string {
	var d [checkLen]byte
	writeCheck(&d, body)
	return string(d[:])
}

// writeCheck reads body's bytes in place. A conversion would copy them to the heap for
// every request, because crc32 calls its fastest form through a variable. It only reads,
// so the string does not change.
func writeCheck(dst *[checkLen]byte, body string) {
	bytes := unsafe.Slice(unsafe.StringData(body), len(body))
	base62.Digits(dst[:], crc32.ChecksumIEEE(bytes))
}

// TokenID returns the id in a text with the outer form of a token, to find the key in a
// cache. It checks nothing else: [ParseToken] may refuse the text. It does not allocate;
// the id shares text's memory.
func TokenID(text string) (id string, ok bool) {
	if len(text) != TokenLen || text[idEnd] != '_' {
		return "", false
	}
	return text[idStart:idEnd], true
}

// ID is the public part that identifies the key: safe in logs, URLs and tables.
func (t Token) ID() string { return t.id }

// Kind is the sort of key, by the prefix.
func (t Token) Kind() Kind { return t.kind }

// Secret is the whole token.
func (t Token) Secret() Secret { return t.text }

// NewID draws the id of a key, evenly from crypto/rand.
func NewID() string { return base62.Random(IDLen) }

// ValidID reports whether s has the form of a key id.
func ValidID(s string) bool { return len(s) == IDLen && base62.Is(s) }
