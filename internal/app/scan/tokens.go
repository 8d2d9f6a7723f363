package scan

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// MaxFound is how many bytes of text a token can take up where [FindTokens] finds it.
const MaxFound = keys.TokenLen * 4 / 3

// Found is a token in the middle of other text.
type Found struct {
	At    int // where it begins, in bytes
	Len   int // how many bytes it takes up there
	Token keys.Token
}

// FindTokens returns the tokens in text, in their order: every place that has a
// token's shape with the right check digits, whatever stands before and behind it.
// A token in base64 that begins where the base64 does, as in a Kubernetes secret, is
// found as well. By accident such a place comes about once in four thousand million,
// so examples with wrong check digits are not found.
//
// Whether a found token is a key, and of which store, is for a verifier to say:
// check digits prove nothing.
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

// occurrences yields where in text the word begins.
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
