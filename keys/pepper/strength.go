package pepper

import (
	"math"
	"strings"
	"unicode"
)

// strongBits is how many random bits make a token impossible to guess, so that a fast
// hash is enough (NIST SP 800-63B, OWASP ASVS 6.5.2).
const strongBits = 112

// fewestDistinct is how many different characters a random token has at least.
const fewestDistinct = 10

// isStrong judges a token of another system by its length and characters. It is an
// estimate, and takes a long sentence for random; a weak token keeps its old hash. An id
// before the first dot does not count, and prefixes such as sk_live_ do not either.
func isStrong(token string) bool {
	if _, rest, ok := splitHandle(token); ok {
		token = rest
	}
	token = withoutWords(token)
	if isUUID(token) {
		token = strings.ReplaceAll(token, "-", "")
	}
	distinct := map[rune]bool{}
	for _, r := range token {
		distinct[r] = true
	}
	return len(distinct) >= fewestDistinct && float64(len(token))*math.Log2(alphabet(distinct)) >= strongBits
}

// withoutWords drops words of small letters and digits that end in _ or :, as
// prefixes do. A word begins with a letter and is short, so that a random token seldom
// looks like one.
func withoutWords(token string) string {
	const longest = 12
	for {
		end := strings.IndexAny(token, "_:")
		if end < 1 || end > longest || !isWord(token[:end]) {
			return token
		}
		token = token[end+1:]
	}
}

func isWord(s string) bool {
	return s[0] >= 'a' && s[0] <= 'z' &&
		strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) < 0
}

// isUUID looks at the outer form. The hyphens are fixed, so they do not count as random.
func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

// alphabet estimates from the characters of a token how many there were to choose from.
func alphabet(of map[rune]bool) float64 {
	var lower, upper, digit, mark, beyondHex bool
	for r := range of {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case unicode.IsLower(r):
			lower = true
		case unicode.IsUpper(r):
			upper = true
		default:
			mark = true
		}
		beyondHex = beyondHex || !strings.ContainsRune("0123456789abcdefABCDEF", r)
	}
	if !beyondHex && lower != upper {
		return 16
	}
	size := 0.0
	for _, class := range []struct {
		in   bool
		size float64
	}{{lower, 26}, {upper, 26}, {digit, 10}, {mark, 2}} {
		if class.in {
			size += class.size
		}
	}
	return size
}
