package remote

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// credential is the verify key. A key file is read again when it changes, so that the key can be
// rotated while the program runs; if that fails, the key of before stays in use.
type credential struct {
	path string
	key  keys.Secret // without a file
	file *infile.Current[keys.Secret]
}

// maxKeyFile, in bytes, is more than a key and a line end need.
const maxKeyFile = 1024

func newCredential(o *Options) *credential {
	return &credential{path: o.KeyFile, key: o.Key, file: infile.NewCurrent(o.KeyFile, maxKeyFile, parseKey)}
}

// check refuses options without a key, or with two.
func (c *credential) check() error {
	switch {
	case c.path == "" && c.key.IsZero():
		return &keys.InvalidError{Field: "key_file", Reason: "must name a file with the verify key"}
	case c.path != "" && !c.key.IsZero():
		return &keys.InvalidError{Field: "key_file", Reason: "cannot be combined with a verify key that is given itself"}
	case c.path == "":
		return isVerifyKey(c.key)
	}
	return nil
}

// read returns the key as the file has it now.
func (c *credential) read() (keys.Secret, error) {
	if c.path == "" {
		return c.key, nil
	}
	key, had, err := c.file.Get()
	if had {
		return key, nil // as before, if err is not nil; if the server refuses it, the error says both
	}
	return key, named(err)
}

// reread reads the file, whatever its time says.
func (c *credential) reread() (keys.Secret, error) {
	if c.path == "" {
		return c.key, nil
	}
	key, _, err := c.file.Reread()
	return key, named(err)
}

// named says which file err is about, unless it is about the key in it.
func named(err error) error {
	if invalid := (*keys.InvalidError)(nil); err == nil || errors.As(err, &invalid) {
		return err
	}
	bad := &keys.InvalidError{Field: "key_file", Reason: "must name a file that this user may read and that holds only the verify key"}
	return fmt.Errorf("%w (%w)", bad, err)
}

func parseKey(text []byte) (keys.Secret, error) {
	key := keys.NewSecret(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	return key, isVerifyKey(key)
}

func isVerifyKey(key keys.Secret) error {
	token, err := keys.ParseToken(key.Reveal())
	switch {
	case err != nil:
		return &keys.InvalidError{Field: "verify key", Reason: "is not a valid key: check for missing or extra characters; it begins with mcpa_"}
	case token.Kind() != keys.KindAdmin:
		return &keys.InvalidError{Field: "verify key", Reason: "must be an admin key with the scope verify, which begins with mcpa_: 'keyctl issue NAME --admin --scope verify --audience AUDIENCE' makes one"}
	}
	return nil
}
