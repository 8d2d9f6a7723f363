package scan

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// MaxFound is the longest form of a token that [FindTokens] finds, in bytes.
const MaxFound = keys.TokenLen * 4 / 3

// Found is a token in the middle of other text.
type Found struct {
	At    int // where it begins, in bytes
	Len   int // its length there, in bytes
	Token keys.Token
}

// FindTokens returns the tokens in text, in their order: every place that has a token's shape
// and the right check digits, whatever is before and after it. It also finds a token at the
// start of a base64 text, as in a Kubernetes secret. Examples with wrong check digits are not
// found; a random text has the right ones once in four thousand million.
//
// Check digits do not prove that a token is a key: ask a verifier.
func FindTokens(text []byte) []Found {
	found := findPlain(nil, text)
	found = findEncoded(found, text)
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.At, b.At) })
	return found
}

func findPlain(found []Found, text []byte) []Found {
	for at := range occurrences(text, "mcp") {
		if rest := text[at:]; len(rest) >= keys.TokenLen {
			if t, err := keys.ParseToken(string(rest[:keys.TokenLen])); err == nil {
				found = append(found, Found{at, keys.TokenLen, t})
			}
		}
	}
	return found
}

func findEncoded(found []Found, text []byte) []Found {
	for at := range occurrences(text, base64.StdEncoding.EncodeToString([]byte("mcp"))) {
		if rest := text[at:]; len(rest) >= MaxFound {
			var plain [keys.TokenLen]byte
			if _, err := base64.StdEncoding.Decode(plain[:], rest[:MaxFound]); err != nil {
				continue
			}
			if t, err := keys.ParseToken(string(plain[:])); err == nil {
				found = append(found, Found{at, MaxFound, t})
			}
		}
	}
	return found
}

// occurrences yields the places in text where the word begins.
func occurrences(text []byte, word string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for at := 0; ; at++ {
			next := bytes.Index(text[at:], []byte(word))
			if next < 0 {
				return
			}
			if at += next; !yield(at) {
				return
			}
		}
	}
}
