package pepper

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// barAt divides a token of [keys.SchemeAfterBar].
const barAt = "|"

// Limits of what one check may cost: a hash says how much work it needs, so an import file
// could stop the server.
const (
	maxBcryptCost    = 12        // a third of a second
	maxBcryptInput   = 72        // bytes; bcrypt ignores what comes after
	maxArgon2Memory  = 64 * 1024 // KiB
	maxArgon2Time    = 4
	maxArgon2Threads = 4
	maxOldHash       = 512 // bytes of text
)

// Hash is what another system kept in place of a token. Guesses can be tried against it,
// so it prints nothing. The zero value is not a hash.
type Hash struct {
	scheme keys.Scheme
	stored string // the sum itself, or the slow hash as it is written

	// For a hash that another key store exported: only that pepper can verify it.
	under  string // the pepper's id; empty for all others
	lookup []byte // nil for an mcpkeys token
}

// IsZero reports whether h is empty.
func (h Hash) IsZero() bool { return h.scheme == "" }

// Scheme is how h was made.
func (h Hash) Scheme() keys.Scheme { return h.scheme }

// Format implements [fmt.Formatter] for every verb.
func (h Hash) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[hash]") }

// springPrefixes are the prefixes that Spring Security puts before a hash.
var springPrefixes = []string{"{bcrypt}", "{argon2}", "{argon2@SpringSecurity_v5_8}"}

// ParseHash reads
//
//	sha256:…, sha512:…    of the whole token, in hex, base64 or base64url
//	sha256-after-bar:…    of what follows the token's first |, likewise
//	$2a$…, $2b$…, $2y$…   bcrypt of what follows the token's first dot
//	$argon2id$…           argon2id of the same
//
// The slow ones may have the prefixes {bcrypt} and {argon2} of Spring Security. A hash that
// would cost more than a bcrypt of cost 12 or 64 MiB of argon2id is refused. The error is a
// [*keys.InvalidError] and repeats nothing of text.
func ParseHash(text string) (Hash, error) {
	if len(text) > maxOldHash {
		return Hash{}, keys.Invalid("hash", "must be at most %d bytes", maxOldHash)
	}
	for _, prefix := range springPrefixes {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text = rest
			break
		}
	}
	switch {
	case strings.Contains(text, string(keys.SchemeHMAC)+":"):
		return parseExported(text)
	case strings.HasPrefix(text, string(keys.SchemeAfterBar)+":"):
		return parseSum(keys.SchemeAfterBar, text[len(keys.SchemeAfterBar)+1:], sha256.Size)
	case strings.HasPrefix(text, "sha256:"):
		return parseSum(keys.SchemeSHA256, text[len("sha256:"):], sha256.Size)
	case strings.HasPrefix(text, "sha512:"):
		return parseSum(keys.SchemeSHA512, text[len("sha512:"):], sha512.Size)
	case strings.HasPrefix(text, "$2"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		_, err := parseArgon2id(text)
		return Hash{scheme: keys.SchemeArgon2id, stored: text}, err
	}
	return Hash{}, keys.Invalid("hash", "must begin with sha256:, sha512:, sha256-after-bar:, $2a$ (bcrypt) or $argon2id$; for other hashes, issue new keys")
}

func parseSum(scheme keys.Scheme, text string, size int) (Hash, error) {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		if sum, err := decode(text); err == nil && len(sum) == size {
			return Hash{scheme: scheme, stored: string(sum)}, nil
		}
	}
	return Hash{}, keys.Invalid("hash", "must have %d bytes in hex, base64 or base64url after %s:", size, scheme)
}

// parseExported reads what [keys.KeySecret.Hash] writes of a secret that is not slow.
func parseExported(text string) (Hash, error) {
	broken := keys.Invalid("hash", "is not in the form that mcpkeys exports; export the keys again")
	h := Hash{scheme: keys.SchemeHMAC}
	if scheme, rest, sum := strings.Cut(text, "+"); sum {
		h.scheme, text = keys.Scheme(scheme), rest
	}
	parts := strings.Split(text, ":")
	fast := h.scheme == keys.SchemeHMAC || h.scheme == keys.SchemeSHA256 || h.scheme == keys.SchemeSHA512 || h.scheme == keys.SchemeAfterBar
	if !fast || len(parts) < 3 || len(parts) > 4 || parts[0] != string(keys.SchemeHMAC) || parts[1] == "" {
		return Hash{}, broken
	}
	digest, err := hex.DecodeString(parts[2])
	if err != nil || len(digest) != sha256.Size {
		return Hash{}, broken
	}
	h.under, h.stored = parts[1], string(digest)
	if len(parts) == 4 {
		if h.lookup, err = hex.DecodeString(parts[3]); err != nil || len(h.lookup) != sha256.Size {
			return Hash{}, broken
		}
	}
	if h.scheme != keys.SchemeHMAC && h.lookup == nil {
		return Hash{}, broken
	}
	return h, nil
}

func parseBcrypt(text string) (Hash, error) {
	const length = 60
	ok := len(text) == length && strings.Contains("aby", text[2:3]) && text[3] == '$' && base62.Is(text[4:6]) && text[6] == '$'
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case !ok || err != nil:
		return Hash{}, keys.Invalid("hash", "is not a complete bcrypt hash: it must begin with $2a$, $2b$ or $2y$ and be %d characters long", length)
	case cost > maxBcryptCost:
		return Hash{}, keys.Invalid("hash", "has a bcrypt cost of %d, which is too slow to check: the most is %d; issue a new key", cost, maxBcryptCost)
	}
	return Hash{scheme: keys.SchemeBcrypt, stored: text}, nil
}

// argon2id is what a hash of that sort says of itself.
type argon2id struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

func parseArgon2id(text string) (argon2id, error) {
	var a argon2id
	var version int
	parts := strings.Split(text, "$") // "", argon2id, v=19, m=…,t=…,p=…, salt, sum
	broken := keys.Invalid("hash", "is not a complete argon2id hash, such as $argon2id$v=19$m=19456,t=2,p=1$salt$sum")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return a, broken
	}
	var threads uint32
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return a, broken
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &threads); n != 3 || err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", a.memory, a.time, threads) {
		return a, broken
	}
	var saltErr, sumErr error
	a.salt, saltErr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	a.sum, sumErr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || sumErr != nil || len(a.salt) < 8 || len(a.salt) > 64 || len(a.sum) < 16 || len(a.sum) > 64 {
		return a, broken
	}
	if a.memory > maxArgon2Memory || a.time > maxArgon2Time || threads > maxArgon2Threads {
		return a, keys.Invalid("hash", "costs too much to check: the most is m=%d, t=%d, p=%d; issue a new key", maxArgon2Memory, maxArgon2Time, maxArgon2Threads)
	}
	if threads == 0 || a.time == 0 || a.memory < 8*threads {
		return a, broken
	}
	a.threads = uint8(threads)
	return a, nil
}

func (a *argon2id) of(text string) []byte {
	return argon2.IDKey([]byte(text), a.salt, a.time, a.memory, a.threads, uint32(len(a.sum))) //nolint:gosec // 64 at most
}

func (a *argon2id) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.sum))
}

// ProvenBy reports whether token proves a secret with a slow hash. It takes up to half a
// second of a core and 64 MiB, so the caller limits how many run at once. The limits were
// checked at the import; they are checked again.
func ProvenBy(s *keys.KeySecret, token keys.Secret) bool {
	_, rest, ok := splitHandle(token.Reveal())
	if !ok {
		return false
	}
	h, err := ParseHash(string(s.Digest))
	switch {
	case err != nil || h.scheme != s.Scheme:
		return false
	case h.scheme == keys.SchemeBcrypt: // bcrypt looks only at the first 72 bytes
		return len(rest) <= maxBcryptInput && bcrypt.CompareHashAndPassword([]byte(h.stored), []byte(rest)) == nil
	case h.scheme == keys.SchemeArgon2id:
		a, err := parseArgon2id(h.stored)
		return err == nil && subtle.ConstantTimeCompare(a.of(rest), a.sum) == 1
	}
	return false
}

// Bind completes a hash of [keys.SchemeAfterBar], whose token begins with the id. Other
// hashes stay as they are.
func (h Hash) Bind(id string) (Hash, error) {
	if h.scheme != keys.SchemeAfterBar || h.under != "" {
		return h, nil
	}
	if id == "" || strings.Contains(id, barAt) || keys.ValidateText("id", id) != nil {
		return Hash{}, keys.Invalid("id", "is required with a %s hash: the part of the token before its first |", keys.SchemeAfterBar)
	}
	h.stored = afterBar(id, h.stored)
	return h, nil
}

// Carried reports whether another mcpkeys key store exported h: only the same pepper can
// verify it.
func (h Hash) Carried() bool { return h.under != "" }
