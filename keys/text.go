package keys

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mcpkeys/mcpkeys/keys/internal/shape"
)

// MaxText is the length of free text, in characters.
const MaxText = 128

// ValidateText is the rule for free text (name, owner, reason, metadata): at most
// [MaxText] printable characters, no control or bidirectional-override characters, no
// space at either end, nothing that looks like a key. Empty is valid. The error is an
// [*InvalidError] that names field and never repeats text.
func ValidateText(field, text string) error {
	switch {
	case !utf8.ValidString(text):
		return Invalid(field, "must be valid UTF-8")
	case utf8.RuneCountInString(text) > MaxText:
		return Invalid(field, "must be at most %d characters", MaxText)
	case strings.IndexFunc(text, unprintable) >= 0:
		return Invalid(field, "must contain only printable characters: no line breaks, control or invisible characters")
	case text != strings.TrimSpace(text):
		return Invalid(field, "must not begin or end with a space")
	case LooksLikeToken(text):
		return Invalid(field, shape.Reason)
	}
	return nil
}

// unprintable follows [unicode.IsPrint], which leaves out controls, format
// characters (the bidirectional ones are among them) and all spaces but U+0020; and
// it refuses printable characters that show nothing: fillers, joiners, variation
// selectors and the empty Braille cell.
func unprintable(r rune) bool {
	const emptyBraille = '\u2800'
	return !unicode.IsPrint(r) || r == emptyBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// validateName also refuses names in the form of an id, because both refer to keys.
func validateName(name string) error {
	if name == "" {
		return Invalid("name", "is required; say what the key is for, such as ci or nightly-report")
	}
	if ValidID(name) {
		return Invalid("name", "has the shape of a key id (%d letters and digits); add a hyphen", IDLen)
	}
	return ValidateText("name", name)
}
