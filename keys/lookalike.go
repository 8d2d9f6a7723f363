package keys

import (
	"iter"
	"regexp"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// reasonToken ends the sentence about a field that holds what may be a key.
const reasonToken = "must not hold a key, nor 24 letters and digits in a row that could be part of one; if that was a real one, revoke it now"

// tokenLike finds what could be a key of ours inside other text, also with the wrong
// case, a typing error or its end cut off; and a whole one whose prefix was cut off.
var tokenLike = regexp.MustCompile(`(?i)mcp[ka]_[0-9a-z]{12}_[0-9a-z]{4}|(^|[^0-9a-z])[0-9a-z]{12}_[0-9a-z]{36}($|[^0-9a-z])`)

// HoldsToken reports whether text holds something that is plainly a token of ours, with
// its id before its secret. Use it for text that has a right to long words: paths,
// addresses, headers of other programs.
func HoldsToken(text string) bool { return tokenLike.MatchString(text) }

// LooksLikeToken reports whether text holds something of a token's shape, or of a
// secret's without the rest. Use it where a person may have put a secret into the wrong
// place. Words, UUIDs and digests in hex are none; a long random text of another make
// is one, because nothing tells the two apart.
func LooksLikeToken(text string) bool {
	if HoldsToken(text) {
		return true
	}
	for run := range base62Runs(text) {
		if looksLikeSecret(run) {
			return true
		}
	}
	return false
}

// nearSecret is how long a row of letters and digits is taken for a piece of a secret: one
// that lost a few characters is as bad as the whole, because the rest can be tried out.
const nearSecret = secretLen - 6

// looksLikeSecret: a long row of letters and digits in both cases, which hex is not, with a
// digit or as many changes of case as words never have.
func looksLikeSecret(run string) bool {
	if len(run) < nearSecret || isKSUID(run) || !strings.ContainsAny(run, base62.Alphabet[10:36]) || !strings.ContainsAny(run, base62.Alphabet[36:]) {
		return false
	}
	return strings.ContainsAny(run, base62.Alphabet[:10]) || 5*caseChanges(run) >= 2*len(run)
}

// caseChanges counts where a capital stands beside a small letter.
func caseChanges(run string) (n int) {
	for i := 1; i < len(run); i++ {
		if (run[i-1] >= 'a') != (run[i] >= 'a') {
			n++
		}
	}
	return n
}

// isKSUID: an id that other programs make from the time, of this century.
func isKSUID(run string) bool {
	return len(run) == 27 && run[0] >= '0' && run[0] <= '3'
}

// base62Runs yields the longest stretches of ASCII letters and digits in text.
func base62Runs(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(text, base62.IsOther)
}
