package keys

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Unfit is why text can be no token, whatever a key store holds; empty for what a store
// must be asked about. What is unfit is shown to no store and to no server: it may be a
// secret of another kind.
func Unfit(text string) Code {
	if text == "" {
		return CodeNoCredential
	}
	if _, _, err := parseToken(text); err != nil && !HasImportedForm(text) {
		return CodeMalformed
	}
	return ""
}

// Flaw says what was added to a token or done with it, where a text is none but nearly
// one: the rest of a sentence that begins with "the text". It is empty where nothing is
// plain. It never repeats text. It is for operators and for people who hold the key; a
// client hears the common refusal.
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

// flaws are tried in this order. Each would hide those behind it.
var flaws = []struct {
	fits func(string) bool
	says string
}{
	{isUTF16, "is UTF-16; save it as UTF-8 or ASCII"},
	{func(s string) bool { return strings.Contains(s, "\ufeff") }, "has a byte order mark in it; save it without one"},
	{func(s string) bool { return strings.ContainsAny(s, "\r\n") }, "has a line break in it; a key is one line"},
	{isPlaceholder.MatchString, "is the name of a variable that was not replaced by its value"},
	{func(s string) bool { return strings.ContainsAny(s, "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb") }, "has quotes in it; give the key without them"},
	{func(s string) bool { return hasWord(s, "bearer") }, "begins with Bearer; give the key alone, because Bearer stands before it already or does not belong here"},
	{func(s string) bool { return strings.ContainsAny(s, " \t\u00a0\u200b") }, "has a space in it; a key has none"},
	{isEncoded, "is base64 of a key; decode it"},
	{func(s string) bool { return HasOwnPrefix(s) && len(s) < TokenLen }, "is cut off; a key is longer"},
	{func(s string) bool { return HasOwnPrefix(s) && len(s) > TokenLen }, "is longer than a key; something was added"},
	{HasOwnPrefix, "has a wrong character; its check digits do not fit"},
}

// isUTF16 finds the mark that such text begins with, or the zeros that it is full of.
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

// isEncoded: the text, read as base64 of any make, is a token of ours.
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
