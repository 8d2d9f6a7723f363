package keys_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/mcpkeys/mcpkeys/keys"
)

// A text that is nearly a key is refused, and Flaw says why.
func TestFlaw(t *testing.T) {
	key := keys.NewToken(keys.KindKey).Secret().Reveal()
	wide := "\xff\xfe"
	for _, u := range utf16.Encode([]rune(key)) {
		wide += string([]byte{byte(u), byte(u >> 8)})
	}
	for _, tc := range []struct{ text, want string }{
		{key, ""},
		{"", ""},
		{"some-key-of-another-system", ""},
		{"\ufeff" + key, "byte order mark"},
		{wide, "UTF-16"},
		{wide[2:], "UTF-16"},
		{key + "\n", "line break"},
		{key + "\n\n", "line break"},
		{key[:20] + "\r\n" + key[20:], "line break"},
		{`"` + key + `"`, "quotes"},
		{"'" + key + "'", "quotes"},
		{"\u201c" + key + "\u201d", "quotes"},
		{key + `"`, "quotes"},
		{"Bearer " + key, "begins with Bearer"},
		{"bearer " + key, "begins with Bearer"},
		{"Bearer Bearer " + key, "begins with Bearer"},
		{"Bearer: " + key, "begins with Bearer"},
		{" " + key, "a space"},
		{key + " ", "a space"},
		{key[:30] + " " + key[30:], "a space"},
		{base64.StdEncoding.EncodeToString([]byte(key)), "base64"},
		{base64.RawURLEncoding.EncodeToString([]byte(key)), "base64"},
		{base64.StdEncoding.EncodeToString([]byte(key + "\n")), "base64"},
		{"${MCP_KEY}", "variable"},
		{"${env:MCP_KEY}", "variable"},
		{"$MCP_KEY", "variable"},
		{"$(cat key.txt)", "variable"},
		{"{{ secrets.KEY }}", "variable"},
		{"%MCP_KEY%", "variable"},
		{"<your-key>", "variable"},
		{key[:len(key)-1], "cut off"},
		{key + "x", "longer than a key"},
		{key[:len(key)-1] + "-", "wrong character"},
	} {
		got := keys.Flaw(tc.text)
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("Flaw(%q): got %q, want %q in it", strings.ReplaceAll(tc.text, key, "KEY"), got, tc.want)
		}
		if got != "" {
			if _, err := keys.ParseToken(tc.text); err == nil {
				t.Errorf("Flaw: %q has one and is a key", got)
			}
		}
		if keys.LooksLikeToken(got) {
			t.Errorf("Flaw repeats the text: %q", got)
		}
	}
}

func TestUnfit(t *testing.T) {
	key := keys.NewToken(keys.KindKey).Secret().Reveal()
	for text, want := range map[string]keys.Code{
		key: "", "some-key-of-another-system": "", "": keys.CodeNoCredential, "short": keys.CodeMalformed,
		key + "x": keys.CodeMalformed, "\ufeff" + key: keys.CodeMalformed, "Bearer " + key: keys.CodeMalformed,
	} {
		if got := keys.Unfit(text); got != want {
			t.Errorf("Unfit(%d bytes): got %q, want %q", len(text), got, want)
		}
	}
}
