package scan_test

import (
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/scan"
	"github.com/mcpkeys/mcpkeys/keys"
)

func TestFindTokens(t *testing.T) {
	one, two := keys.NewToken(keys.KindKey), keys.NewToken(keys.KindAdmin)
	a, b := one.Secret().Reveal(), two.Secret().Reveal()
	encoded := base64.StdEncoding.EncodeToString([]byte(a))
	for _, tc := range []struct {
		name, text string
		at         []int
		ids        []string
	}{
		{"nothing", "", nil, nil},
		{"alone", a, []int{0}, []string{one.ID()}},
		{"both kinds", "K=" + a + "\n" + b, []int{2, 57}, []string{one.ID(), two.ID()}},
		{"in an address", "https://x?key=" + a + "&y", []int{14}, []string{one.ID()}},
		{"letters around it", "x" + a + "x", []int{1}, []string{one.ID()}},
		{"one behind the other", a + b, []int{0, keys.TokenLen}, []string{one.ID(), two.ID()}},
		{"behind its own beginning", "mcpk_" + a, []int{5}, []string{one.ID()}},
		{"in base64, before a plain one", "key: " + encoded + " " + b, []int{5, 5 + len(encoded) + 1}, []string{one.ID(), two.ID()}},
		{"with a line end, in base64", base64.StdEncoding.EncodeToString([]byte(a + "\n")), []int{0}, []string{one.ID()}},
		{"one character off", strings.Replace(a, "mcpk_", "mcpx_", 1), nil, nil},
		{"cut", a[:keys.TokenLen-1], nil, nil},
		{"cut, in base64", encoded[:len(encoded)-1], nil, nil},
		{"no base64 behind the beginning", "bWNw" + strings.Repeat("?", 80), nil, nil},
	} {
		found := scan.FindTokens([]byte(tc.text))
		if len(found) != len(tc.at) {
			t.Errorf("FindTokens, %s: got %d, want %d", tc.name, len(found), len(tc.at))
			continue
		}
		for i, f := range found {
			if f.At != tc.at[i] || f.Token.ID() != tc.ids[i] {
				t.Errorf("FindTokens, %s, number %d: got %s at %d, want %s at %d", tc.name, i, f.Token.ID(), f.At, tc.ids[i], tc.at[i])
			}
		}
	}
}

// Examples in documents have a wrong check digit, and are not reported.
func TestFindTokensLeavesExamples(t *testing.T) {
	token := []byte(keys.NewToken(keys.KindKey).Secret().Reveal())
	if token[len(token)-1] = '0'; len(scan.FindTokens(token)) > 0 { // it was 0 before
		token[len(token)-1] = '1'
	}
	if found := scan.FindTokens(token); len(found) != 0 {
		t.Errorf("FindTokens of a token with a wrong check digit: got %d, want none", len(found))
	}
}

func FuzzFindTokens(f *testing.F) {
	f.Add("mcpk_", 3)
	f.Add("bWNwa1", 0)
	token := keys.NewToken(keys.KindKey)
	f.Fuzz(func(t *testing.T, around string, at int) {
		at = max(0, min(at, len(around)))
		text := around[:at] + token.Secret().Reveal() + around[at:]
		for _, found := range scan.FindTokens([]byte(text)) {
			if found.At == at && found.Token.ID() == token.ID() {
				return
			}
		}
		t.Errorf("FindTokens: a token at %d was not found", at)
	})
}

// The rule for gitleaks finds the keys that we issue.
func TestGitleaksRule(t *testing.T) {
	text, err := os.ReadFile("../../../docs/gitleaks.toml")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile("(?m)^regex = '''(.*)'''$").FindSubmatch(text)
	if rule == nil {
		t.Fatal("no rule in it")
	}
	pattern := regexp.MustCompile(string(rule[1]))
	for _, kind := range []keys.Kind{keys.KindKey, keys.KindAdmin} {
		token := keys.NewToken(kind).Secret().Reveal()
		if got := pattern.FindString("Bearer " + token + "\n"); got != token {
			t.Errorf("the rule does not find a key of kind %s", kind)
		}
		if !strings.Contains(string(text), `"`+token[:5]+`"`) {
			t.Errorf("keywords: no %s", token[:5])
		}
	}
}
