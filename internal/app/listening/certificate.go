package listening

import (
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// certificate is the certificate and key for new connections. They can be read again while the
// server runs.
type certificate struct {
	cert, key string // PEM files
	pair      atomic.Pointer[tls.Certificate]
}

// Certificate is the certificate of a server; nil without TLS.
type Certificate = certificate

// LoadCertificate reads the files of o. It returns nil without TLS.
func LoadCertificate(o *Options) (*Certificate, error) {
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, &keys.InvalidError{Field: fieldCertificate, Reason: "must be given together"}
	}
	if o.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{cert: o.TLSCert, key: o.TLSKey}
	return c, c.load()
}

// load reads both files. If they do not match, the certificate before stays in use.
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
	if err != nil { // the error may quote the file
		return errNoPair
	}
	c.pair.Store(&pair)
	return nil
}

// fieldCertificate is the name of both files together.
const fieldCertificate = "certificate"

var errNoPair = &keys.InvalidError{Field: fieldCertificate, Reason: "must be PEM files that match and that this user may read"}

// maxPEM, in bytes, is more than a certificate with its chain needs.
const maxPEM = 1 << 20

func readPEM(path string) ([]byte, error) {
	f, err := infile.Regular(path)
	if errors.Is(err, infile.ErrNotRegular) {
		return nil, &keys.InvalidError{Field: fieldCertificate, Reason: "must be regular files"}
	}
	if err != nil {
		return nil, errNoPair
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil, errNoPair
	}
	return text, nil
}

// config returns nil for a nil certificate.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
