package keys

import (
	"encoding/hex"
	"strings"
)

// Of tokens that another system made.
const (
	MinImportedToken = 8   // bytes
	MaxImportedToken = 256 // bytes

	// MaxPerHandle is how many secrets under a slow hash may share a handle: so many hashes
	// one token may cost, at the most.
	MaxPerHandle = 4

	// MetaImportedID is the metadata that notes what a key was called where it came from.
	MetaImportedID = "imported_id"
)

// HasImportedForm reports whether text could be a token that another system made and
// that was imported: printable ASCII of the right length, without what a header would
// not carry, and plainly none of ours.
func HasImportedForm(text string) bool {
	if len(text) < MinImportedToken || len(text) > MaxImportedToken || HasOwnPrefix(text) {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return true
}

// HasOwnPrefix reports whether text begins as the tokens of mcpkeys do: it is one, or a
// broken one, and never an imported one.
func HasOwnPrefix(text string) bool {
	return strings.HasPrefix(text, KindKey.prefix()) || strings.HasPrefix(text, KindAdmin.prefix())
}

// Imported reports whether the secret is that of an imported token, which keeps the
// form that another system gave it.
func (s *KeySecret) Imported() bool { return s.Lookup != nil }

// ImportedUnder is the scheme of an imported secret; empty for one of our own.
func (s *KeySecret) ImportedUnder() Scheme {
	if !s.Imported() {
		return ""
	}
	return s.Scheme
}

// Hash renders what verifies the secret, for an export; [pepper.ParseHash] reads it. A slow
// hash is as it came; the rest is under a pepper and of use beside that alone. It tells
// nothing that the database does not hold.
func (s *KeySecret) Hash() string {
	if s.Scheme.Slow() {
		return string(s.Digest)
	}
	text := string(SchemeHMAC) + ":" + s.PepperID + ":" + hex.EncodeToString(s.Digest)
	if s.Imported() {
		text += ":" + hex.EncodeToString(s.Lookup)
	}
	if s.Scheme != SchemeHMAC { // the keyed hash of a sum
		text = string(s.Scheme) + "+" + text
	}
	return text
}

// ImportedID is what an imported key was called where it came from, if that is known.
func (k *Key) ImportedID() string { return k.Metadata[MetaImportedID] }
