// Package checkpoint signs how far an audit log had come, as a note that can be kept
// anywhere and verified with a line of text: golang.org/x/mod/sumdb/note, an Ed25519
// signature in a form that people can read.
//
// [LoadSigner] reads or makes the key that signs, [Signer.Sign] makes the note, [Open]
// gives back what it says if the signature is right. What a checkpoint means is in
// [audit.Checkpoint], and [store.VerifyAudit] holds a log against one.
//
// The signature lets the note lie where others may write: they cannot make one that says
// something else. It does not protect from whoever reads the signing key's file, which
// lies beside the key store by default: he can sign what he likes. Against him helps a
// note that he cannot reach, and the verifier key kept with it.
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

// maxNote bounds what is looked at: a note of ours has some 300 bytes.
const maxNote = 64 << 10

// Open returns the checkpoint in a note, if it was signed by the key that verifierKey
// verifies. The errors are [*keys.InvalidError] and repeat nothing of either.
func Open(signed, verifierKey string) (audit.Checkpoint, error) {
	if strings.HasPrefix(verifierKey, privatePrefix) {
		return audit.Checkpoint{}, &keys.InvalidError{Field: "verifier key", Reason: "is the signing key, which nobody but the signer should have; give the line that `keyctl audit checkpoint` prints when it makes one"}
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return audit.Checkpoint{}, &keys.InvalidError{Field: "verifier key", Reason: "is none; it is one line, such as mcpkeys-audit+1a2b3c4d+AZ…"}
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

var errNoNote = &keys.InvalidError{Field: "checkpoint", Reason: "is no signed note; it must be as `keyctl audit checkpoint` printed it, to the last line"}
