package keys_test

import (
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
)

// The mistake: a key is pasted into a name, a reason or a header without its prefix, or
// without its id too. A reader of the audit log can use the rest like the whole key, and it
// does not begin with mcpk_.
func TestNearShapesOfAToken(t *testing.T) {
	for range 2000 {
		token := keys.NewToken(keys.KindKey).Secret().Reveal()
		bare := token[len("mcpk_"):]
		secret := bare[keys.IDLen+1:]
		for name, tc := range map[string]struct {
			text        string
			holds, like bool
		}{
			"whole":                  {token, true, true},
			"after other letters":    {"x" + token, true, true},
			"in capitals":            {strings.ToUpper(token), true, true},
			"its end cut off":        {token[:len("mcpk_")+keys.IDLen+5], true, true},
			"its prefix cut off":     {bare, true, true},
			"its prefix mistyped":    {"mcp_" + bare, true, true},
			"in an address":          {"https://h/?k=" + bare + "&x", true, true},
			"bare, in small letters": {strings.ToLower(bare), true, true},
			"the secret alone":       {secret, false, true},
			"the secret in a text":   {"x: " + secret + ".", false, true},
			"one character lost":     {token[len(token)-35:], false, true},
			"one character more":     {secret + "7", false, true},
			"the id alone":           {bare[:keys.IDLen], false, false},
		} {
			if got := keys.HoldsToken(tc.text); got != tc.holds {
				t.Errorf("HoldsToken of a key, %s, %q: got %v, want %v", name, tc.text, got, tc.holds)
			}
			if got := keys.LooksLikeToken(tc.text); got != tc.like {
				t.Errorf("LooksLikeToken of a key, %s, %q: got %v, want %v", name, tc.text, got, tc.like)
			}
		}
		if err := requestid.Validate(secret); err == nil {
			t.Errorf("ValidateRequestID(%q): got nil, want a refusal", secret)
		}
	}
}

func TestOrdinaryTextIsNoToken(t *testing.T) {
	for _, text := range []string{
		"mcpk_EXAMPLEonly0_…", "mcpk_ is how our keys begin", "8Jd0sLmQ2xYz", "nightly report #3",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709",                         // SHA-1
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // SHA-256
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
		"0198a1b2c3d4e5f60718293a4b5c6d7e", "0198a1b2-c3d4-e5f6-0718-293a4b5c6d7e",
		"releasebuild_da39a3ee5e6b4b0d3255bfef95601890afd80709", // 12 letters before it, and 40 after
		"pneumonoultramicroscopicsilicovolcanoconiosis",
		"arn:aws:iam::123456789012:role/AWSServiceRoleForAmazonElasticMapReduce",
		"1srOrx2ZWZBpBUvZwXKQmoEYga2", // a KSUID
		"日本語の長い名前日本語の長い名前日本語の長い名前日本語の長い名前",
	} {
		if keys.LooksLikeToken(text) {
			t.Errorf("LooksLikeToken(%q): got true, want false", text)
		}
	}
}

// A scope contains ids of tools and documents, and some of them are as long as a secret.
func TestScopesMayHoldLongIDs(t *testing.T) {
	const document = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgVE2upms"
	for scope, fine := range map[string]bool{
		"resources:https%3A%2F%2Fdocs.example%2Fd%2F" + document: true,
		"tools:convertBase64ToUtf8StringWithPadding":             true,
		document: false,
		"tools:" + keys.NewToken(keys.KindKey).Secret().Reveal()[len("mcpk_"):]: false,
	} {
		if _, err := keys.CompileScopes([]string{scope}); (err == nil) != fine {
			t.Errorf("CompileScopes(%q): got %v, want fine %v", scope, err, fine)
		}
	}
}

// The attack: a secret without a few characters is put into text that is shown, such as a
// name or a request id, and a reader guesses the rest. Only secrets without a digit that
// look like words, two in a thousand, may pass.
func TestSecretsThatLostAFewCharacters(t *testing.T) {
	passed := 0
	for range 2000 {
		token := keys.NewToken(keys.KindKey).Secret().Reveal()
		secret := token[len("mcpk_")+keys.IDLen+1:]
		for _, piece := range []string{secret[:29], secret[1:30], secret[4:30], secret[6:36], secret[:24] + "-" + secret[24:30]} {
			if !keys.LooksLikeToken(piece) || keys.ValidateText("name", piece) == nil || requestid.Validate(piece) == nil {
				passed++
			}
		}
	}
	if passed > 100 {
		t.Errorf("%d of 10000 pieces of secrets pass, want nearly none", passed)
	}
	for _, piece := range []string{"rPDKqc4fswBjzhIuqXplMYXZErBZI", "x: 8Jd0sLmQ2xYz4kP9wRtV6bNc", "aBcDeFgHiJkLmNoPqRsTuVwXy"} {
		if !keys.LooksLikeToken(piece) {
			t.Errorf("LooksLikeToken(%q): got false, want true", piece)
		}
	}
	for _, name := range []string{"sendDailyReportToFinanceTeam", "nightly-report-for-team-2026", "AWSServiceRoleForAmazonElasticMapReduce"} {
		if keys.LooksLikeToken(name) {
			t.Errorf("LooksLikeToken(%q): got true, want false", name)
		}
	}
}
