// Package checkpoint signs the state of an audit log as a note that can be kept anywhere and
// verified with a line of text. The note has the form of golang.org/x/mod/sumdb/note: text
// with an Ed25519 signature.
//
// [LoadSigner] reads or makes the signing key, [Signer.Sign] makes a note, and [Open] verifies
// a note and returns its checkpoint. [audit.Checkpoint] says what a checkpoint means, and
// [store.VerifyAudit] compares a log with one.
//
// The signature allows you to keep the note where others can write: they cannot forge another
// one. It does not protect against an attacker who can read the signing key, which is beside
// the key store by default. Against that, keep the note and the verifier key on a machine that
// the attacker cannot reach.
package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Sign returns the signed note of c.
func (s *Signer) Sign(c audit.Checkpoint) (string, error) {
	signed, err := note.Sign(&note.Note{Text: c.String()}, s.signer)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// maxNote is the longest note in bytes; the notes of Sign have some 300.
const maxNote = 64 << 10

// Open returns the checkpoint of a note, if its signature is right for verifierKey. The errors
// are [*keys.InvalidError] and repeat nothing of the note or the key.
func Open(signed, verifierKey string) (audit.Checkpoint, error) {
	if strings.HasPrefix(verifierKey, privatePrefix) {
		return audit.Checkpoint{}, &keys.InvalidError{Field: "verifier key", Reason: "is the signing key, which must stay secret; give the line that `keyctl audit checkpoint` printed when it made the key"}
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return audit.Checkpoint{}, &keys.InvalidError{Field: "verifier key", Reason: "is not valid; it is one line, such as mcpkeys-audit+1a2b3c4d+AZ…"}
	}
	if len(signed) > maxNote {
		return audit.Checkpoint{}, errNoNote
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return audit.Checkpoint{}, &keys.InvalidError{Field: "checkpoint", Reason: "was signed by another key than the one that it is verified with"}
	case errors.As(err, &invalid):
		return audit.Checkpoint{}, &keys.InvalidError{Field: "checkpoint", Reason: "was changed after it was signed"}
	case err != nil:
		return audit.Checkpoint{}, errNoNote
	}
	return audit.ParseCheckpoint(n.Text)
}

var errNoNote = &keys.InvalidError{Field: "checkpoint", Reason: "is not a signed note; give the whole output of `keyctl audit checkpoint`"}
