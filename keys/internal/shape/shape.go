// Package shape tells text that has the form of a token, or of a part of one, from other
// text. It reads no store, and does not say whether a token is valid. [LooksLikeToken] is the
// rule for text from people; [HoldsToken] is for text that may contain long words.
package shape

import (
	"iter"
	"regexp"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// SecretLen is the length of the secret in a token: 178 bits.
const SecretLen = 30

// Reason ends the sentence about a field that holds what may be a key.
const Reason = "must not contain a key, or 24 letters and digits in a row that could be part of one; if it was a real key, revoke it now"

// tokenLike finds what could be an mcpkeys token inside other text, also with the wrong
// case, a typing error or its end cut off; and a whole one without its prefix.
var tokenLike = regexp.MustCompile(`(?i)mcp[ka]_[0-9a-z]{12}_[0-9a-z]{4}|(^|[^0-9a-z])[0-9a-z]{12}_[0-9a-z]{36}($|[^0-9a-z])`)

// HoldsToken reports whether text contains an mcpkeys token, with its id before its
// secret. Use it for text that may contain long words: paths, addresses, headers of other
// programs.
func HoldsToken(text string) bool { return tokenLike.MatchString(text) }

// LooksLikeToken reports whether text contains something in the form of a token, or of a
// secret alone. Use it where a person may have put a secret into the wrong place. Words,
// UUIDs and hex digests do not match; other long random text does, because it cannot be
// told from a secret.
func LooksLikeToken(text string) bool {
	if HoldsToken(text) {
		return true
	}
	for run := range Runs(text) {
		if LooksLikeSecret(run) {
			return true
		}
	}
	return false
}

// nearSecret is the length from which a run of letters and digits counts as part of a
// secret: if only a few characters are missing, they can be guessed.
const nearSecret = SecretLen - 6

// LooksLikeSecret finds a long run of letters and digits in both cases, which hex is not, with a
// digit or with more changes of case than words have.
func LooksLikeSecret(run string) bool {
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

// Runs yields the longest stretches of ASCII letters and digits in text.
func Runs(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(text, base62.IsOther)
}
