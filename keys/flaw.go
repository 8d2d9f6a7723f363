package keys

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Unfit says why text cannot be a token, whatever the key store contains; empty if the
// store must be asked. Unfit text is not sent to a store or server, because it may be
// another kind of secret.
func Unfit(text string) Code {
	if text == "" {
		return CodeNoCredential
	}
	if _, _, err := parseToken(text); err != nil && !HasImportedForm(text) {
		return CodeMalformed
	}
	return ""
}

// Flaw says what is wrong with a text that is nearly a token: the rest of a sentence that
// begins with "the text". It is empty if the fault is not known. It never repeats text. It
// is for operators and holders of the key; a client gets the common refusal.
func Flaw(text string) string {
	if _, _, err := parseToken(text); text == "" || err == nil {
		return ""
	}
	for _, one := range flaws {
		if one.fits(text) {
			return one.says
		}
	}
	return ""
}

// flaws are tried in this order. The first that fits is reported, because a later one may fit
// as its result.
var flaws = []struct {
	fits func(string) bool
	says string
}{
	{isUTF16, "is UTF-16; save it as UTF-8 or ASCII"},
	{func(s string) bool { return strings.Contains(s, "\ufeff") }, "contains a byte order mark; save it without one"},
	{func(s string) bool { return strings.ContainsAny(s, "\r\n") }, "contains a line break; a key is one line"},
	{isPlaceholder.MatchString, "is the name of a variable that was not replaced by its value"},
	{func(s string) bool { return strings.ContainsAny(s, "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb") }, "contains quotes; give the key without them"},
	{func(s string) bool { return hasWord(s, "bearer") }, "begins with Bearer; give the key without it"},
	{func(s string) bool { return strings.ContainsAny(s, " \t\u00a0\u200b") }, "contains a space; remove it"},
	{isEncoded, "is base64 of a key; decode it"},
	{func(s string) bool { return HasOwnPrefix(s) && len(s) < TokenLen }, "is cut off; copy the whole key"},
	{func(s string) bool { return HasOwnPrefix(s) && len(s) > TokenLen }, "is longer than a key; remove what was added"},
	{HasOwnPrefix, "has a wrong character; copy the key again"},
}

// isUTF16 finds the byte order mark of UTF-16, or zero bytes.
func isUTF16(s string) bool {
	return strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff") || strings.Contains(s, "\x00")
}

// isPlaceholder finds what shells, templates and config files replace: ${KEY}, $KEY,
// $(cat file), {{ key }}, %KEY%, <key>.
var isPlaceholder = regexp.MustCompile(`^\s*(\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_][A-Za-z0-9_]*|\{\{.*\}\}|%[A-Za-z_][A-Za-z0-9_]*%|<[^<>]*>)\s*$`)

func hasWord(s, word string) bool {
	s = strings.TrimLeft(s, " \t")
	return len(s) > len(word) && strings.EqualFold(s[:len(word)], word) && strings.ContainsAny(s[len(word):len(word)+1], " :=\t")
}

// isEncoded: the text, decoded as standard or URL base64, contains an mcpkeys token.
func isEncoded(s string) bool {
	if !strings.HasPrefix(s, "bWNw") { // mcp
		return false
	}
	s = strings.TrimRight(s, "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if plain, err := e.DecodeString(s); err == nil && HoldsToken(string(plain)) {
			return true
		}
	}
	return false
}
