package server

import (
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// certificate is the pair that new connections are served with. It can be read again
// while the server runs.
type certificate struct {
	cert, key string // PEM files
	pair      atomic.Pointer[tls.Certificate]
}

// loadCertificate returns nil when no TLS is asked for.
func loadCertificate(o *Options) (*certificate, error) {
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, &keys.InvalidError{Field: "tls", Reason: "takes both a certificate and its key: --tls-cert and --tls-key"}
	}
	if o.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{cert: o.TLSCert, key: o.TLSKey}
	return c, c.load()
}

// load reads both files. When they are not a pair, the one before stays.
func (c *certificate) load() error {
	cert, err := readPEM(c.cert)
	if err != nil {
		return err
	}
	key, err := readPEM(c.key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil { // its text may quote the file
		return errNoPair
	}
	c.pair.Store(&pair)
	return nil
}

var errNoPair = &keys.InvalidError{Field: "tls", Reason: "certificate and key cannot be used together; name two PEM files that belong to each other and that this user may read"}

// maxPEM is more than a certificate with all that signed it has, in bytes.
const maxPEM = 1 << 20

func readPEM(path string) ([]byte, error) {
	f, err := infile.Regular(path)
	if errors.Is(err, infile.ErrNotRegular) {
		return nil, &keys.InvalidError{Field: "tls", Reason: "certificate or key is not a regular file; name two PEM files"}
	}
	if err != nil {
		return nil, errNoPair
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil, errNoPair
	}
	return text, nil
}

// config is nil for a nil certificate.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
