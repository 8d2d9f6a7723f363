package checkpoint

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
)

// keyName stands in every note beside the signature.
const keyName = "mcpkeys-audit"

// privatePrefix begins a signing key.
const privatePrefix = "PRIVATE+KEY+"

// Signer signs checkpoints.
type Signer struct {
	VerifierKey string // a line of text with which anybody can verify; not secret

	signer note.Signer
}

// LoadSigner reads the signing key at path. Where there is none it makes one, 0600, and
// says so: that is the moment to keep the verifier key elsewhere. The errors repeat
// nothing of what is in the file.
func LoadSigner(path string) (s *Signer, made bool, err error) {
	s, err = readSigner(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	made = true
	if err := makeKey(path); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return nil, false, fmt.Errorf("make checkpoint key %s: %w", path, err)
		}
		made = false // somebody else was quicker
	}
	s, err = readSigner(path)
	return s, made, err
}

// VerifierKey reads with what the notes of the key at path are verified. When there is
// none the error is [fs.ErrNotExist].
func VerifierKey(path string) (string, error) {
	s, err := readSigner(path)
	if err != nil {
		return "", err
	}
	return s.VerifierKey, nil
}

func makeKey(path string) error {
	private, _, err := note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return err
	}
	f, err := newfile.Temp(filepath.Dir(path), "mcpkeys-checkpoint-*.tmp")
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, private+"\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return newfile.Publish(f.Name(), path)
}

func readSigner(path string) (*Signer, error) {
	f, err := infile.Regular(path)
	if errors.Is(err, infile.ErrNotRegular) {
		return nil, fmt.Errorf("%s is not a regular file, so no checkpoint key", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open checkpoint key: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("open checkpoint key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("other users may open %s: run 'chmod 600 %s'", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint key: %w", err)
	}
	s, err := parseSigner(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s is no checkpoint key: name the file that `keyctl audit checkpoint` made, or one that is not there yet", path)
	}
	return s, nil
}

// parseSigner also finds the public half, which note leaves to whoever made the key. The
// text is PRIVATE+KEY+name+hash+base64(algorithm, seed).
func parseSigner(text string) (*Signer, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(text, "+", 5) // base64 may have a + of its own
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	verifierKey, err := note.NewEd25519VerifierKey(signer.Name(), public)
	return &Signer{VerifierKey: verifierKey, signer: signer}, err
}
