package keys

import (
	"encoding/hex"
	"strings"
)

// Limits for tokens that another system made.
const (
	MinImportedToken = 8   // bytes
	MaxImportedToken = 256 // bytes

	// MaxPerHandle is how many secrets with a slow hash may share a handle. Checking one
	// token computes at most this many slow hashes.
	MaxPerHandle = 4

	// MetaImportedID is the metadata entry with the key's id in the system it came from.
	MetaImportedID = "imported_id"
)

// HasImportedForm reports whether text could be an imported token of another system:
// printable ASCII of the right length without spaces and commas, and without the prefix of
// mcpkeys tokens.
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

// HasOwnPrefix reports whether text begins like an mcpkeys token: it is one or a damaged
// one, and never an imported one.
func HasOwnPrefix(text string) bool {
	return strings.HasPrefix(text, KindKey.prefix()) || strings.HasPrefix(text, KindAdmin.prefix())
}

// Imported reports whether the secret is of an imported token, which keeps the form that
// another system gave it.
func (s *KeySecret) Imported() bool { return s.Lookup != nil }

// ImportedUnder is the scheme of an imported secret; empty for an mcpkeys secret.
func (s *KeySecret) ImportedUnder() Scheme {
	if !s.Imported() {
		return ""
	}
	return s.Scheme
}

// Hash renders what verifies the secret, for an export; [pepper.ParseHash] reads it. A slow
// hash is as it was imported; every other hash is only usable with its pepper. It contains
// nothing that is not in the database.
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

// ImportedID is the id of an imported key in the system it came from, if known.
func (k *Key) ImportedID() string { return k.Metadata[MetaImportedID] }
