package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

func TestValidateText(t *testing.T) {
	for _, fine := range []string{"", "ci", "nightly report #3", "équipe-données", "团队", "שלום", strings.Repeat("é", keys.MaxText), "a/b", "x' OR 1=1 --", "100%_*"} {
		if err := keys.ValidateText("name", fine); err != nil {
			t.Errorf("ValidateText(%q): got %v, want nil", fine, err)
		}
	}
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for name, text := range map[string]string{
		"too long":           strings.Repeat("é", keys.MaxText+1),
		"not UTF-8":          "caf\xe9",
		"newline":            "canary\nx",
		"tab":                "canary\tx",
		"NUL":                "canary\x00",
		"escape":             "canary\x1b[31m",
		"C1 control":         "canary\u009b31m",
		"bidi override":      "canary\u202ecod.exe",
		"bidi isolate":       "canary\u2066x",
		"zero width":         "can\u200bary",
		"no-break space":     "canary\u00a0x",
		"line separator":     "canary\u2028x",
		"Hangul filler":      "canary\u3164",
		"empty Braille cell": "\u2800canary",
		"Jamo filler":        "canary\u115f",
		"grapheme joiner":    "can\u034fary",
		"variation selector": "canary\ufe0f",
		"leading space":      " canary",
		"trailing space":     "canary ",
		"a key":              token,
		"a key inside":       "see " + token + " ok",
		"a key in capitals":  strings.ToUpper(token),
		"a key cut off":      token[:30],
		"a key with a typo":  token[:len(token)-1] + "-",
		"a bare secret":      token[len("mcpa_")+keys.IDLen+1:],
		"replacement of bad": "canary\xff",
	} {
		err := keys.ValidateText("reason", text)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "reason" {
			t.Errorf("ValidateText with %s: got %v, want an InvalidError of reason", name, err)
			continue
		}
		if strings.Contains(err.Error(), "canary") || keys.LooksLikeToken(err.Error()) {
			t.Errorf("ValidateText with %s: the error repeats the text", name)
		}
	}
}
