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

// keyName is in every note, before the signature.
const keyName = "mcpkeys-audit"

// privatePrefix begins a signing key.
const privatePrefix = "PRIVATE+KEY+"

// Signer signs checkpoints.
type Signer struct {
	VerifierKey string // the line of text that verifies the notes; not secret

	signer note.Signer
}

// LoadSigner reads the signing key at path. If there is none it makes one (0600) and reports
// made, so that the caller can show the verifier key. The errors repeat nothing of the file.
func LoadSigner(path string) (s *Signer, made bool, err error) {
	s, err = readSigner(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	made = true
	if err := makeKey(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, fmt.Errorf("checkpoint key %s cannot be made, because its directory does not exist: %w", path, fs.ErrNotExist)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, false, fmt.Errorf("checkpoint key %s cannot be made: %w", path, err)
		}
		made = false // another process made it first
	}
	s, err = readSigner(path)
	return s, made, err
}

// VerifierKey returns the line that verifies the notes of the signing key at path. If the file
// does not exist the error is [fs.ErrNotExist].
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
		return nil, fmt.Errorf("%s is not a checkpoint key: it is not a regular file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open checkpoint key: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
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
		return nil, fmt.Errorf("%s is not a checkpoint key; name the file that `keyctl audit checkpoint` made, or a new file", path)
	}
	return s, nil
}

// parseSigner reads a signing key and computes its public half, which package note does not
// return. The text is PRIVATE+KEY+name+hash+base64(algorithm, seed).
func parseSigner(text string) (*Signer, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(text, "+", 5) // base64 may contain a + too
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
