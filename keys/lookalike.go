package keys

import "github.com/mcpkeys/mcpkeys/keys/internal/shape"

// HoldsToken reports whether text contains an mcpkeys token, with its id before its
// secret. Use it for text that may contain long words: paths, addresses, headers of other
// programs.
func HoldsToken(text string) bool { return shape.HoldsToken(text) }

// LooksLikeToken reports whether text contains something in the form of a token, or of a
// secret alone. Use it where a person may have put a secret into the wrong place. Words,
// UUIDs and hex digests do not match; other long random text does, because it cannot be
// told from a secret.
func LooksLikeToken(text string) bool { return shape.LooksLikeToken(text) }
