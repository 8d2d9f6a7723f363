package remote

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// credential is the verify key. A key file is read again when it changes, so that the key can be
// rotated while the program runs; if that fails, the key of before stays in use.
type credential struct {
	path string

	mu    sync.Mutex // guards what follows
	key   keys.Secret
	stamp stamp
}

// stamp tells states of a file apart.
type stamp struct {
	file os.FileInfo // nil before the file was read
	read time.Time
}

// settling is longer than the steps in which file systems tell times. A file that changed less
// than that before it was read may have changed again at the same time.
const settling = 2 * time.Second

// holds reports whether a file that is now like info is the one that was read.
func (s stamp) holds(info os.FileInfo) bool {
	return s.file != nil && os.SameFile(s.file, info) && s.file.Size() == info.Size() &&
		s.file.ModTime().Equal(info.ModTime()) && s.read.Sub(info.ModTime()) > settling
}

// maxKeyFile, in bytes, is more than a key and a line end need.
const maxKeyFile = 1024

func newCredential(o *Options) *credential { return &credential{path: o.KeyFile, key: o.Key} }

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
	info, err := os.Stat(c.path)
	c.mu.Lock()
	key, same := c.key, err == nil && c.stamp.holds(info)
	c.mu.Unlock()
	if same {
		return key, nil
	}
	now, err := c.reread()
	if err != nil && !key.IsZero() {
		return key, nil // as before; if the server refuses it, the error says both
	}
	return now, err
}

// reread reads the file, whatever its time says.
func (c *credential) reread() (keys.Secret, error) {
	if c.path == "" {
		return c.key, nil
	}
	key, seen, err := readKey(c.path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.key, c.stamp = key, seen
	}
	return c.key, err
}

func readKey(path string) (keys.Secret, stamp, error) {
	bad := &keys.InvalidError{Field: "key_file", Reason: "must name a file that this user may read and that holds only the verify key"}
	f, err := infile.Regular(path)
	if err != nil {
		return keys.Secret{}, stamp{}, fmt.Errorf("%w (%w)", bad, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	began := time.Now()              //nolint:forbidigo // beside the times of a file, which are of the machine's clock
	info, err := f.Stat()
	if err != nil {
		return keys.Secret{}, stamp{}, bad
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return keys.Secret{}, stamp{}, bad
	}
	key := keys.NewSecret(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	return key, stamp{info, began}, isVerifyKey(key)
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
