package keys

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret contains text that must not be shown by accident: a token as issued or sent.
// No fmt verb, slog handler, JSON encoder or printer built on reflection shows it; only
// [Secret.Reveal] does. The zero value is empty.
//
// The text is in a closure. A string field, even an unexported one behind a
// String method, is printed by %d, by %v of an enclosing struct and by every
// debugger-like printer; a function shows as an address. It also makes Secret
// incomparable: == on secrets, which leaks timing, does not compile.
type Secret struct {
	reveal func() string
}

// NewSecret wraps text.
func NewSecret(text string) Secret {
	return Secret{reveal: func() string { return text }}
}

// Reveal returns the text. Call it only where the secret is shown to its owner.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether s holds no text.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Format implements [fmt.Formatter] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, redacted) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return redacted }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and so covers JSON and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
