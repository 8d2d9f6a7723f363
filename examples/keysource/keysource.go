// Package keysource lets the examples read keys from a key store of this machine, or from a
// server: [Flags] defines the flags, and [Source.Open] returns the verifier.
//
// A single program beside its key store needs no server. All others use one: they then hold
// neither database nor pepper, and a verify key that can do nothing but check keys for them.
package keysource

import (
	"errors"
	"flag"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// Source is what the flags say.
type Source struct {
	db, server, keyFile, audience string
	insecure                      bool
}

// Flags defines --db, --server, --key-file and --insecure-server.
func Flags() *Source {
	s := &Source{}
	flag.StringVar(&s.db, "db", "", "the `FILE` of the key store, if it is on this machine (default mcpkeys.db)")
	flag.StringVar(&s.server, "server", "", "the `ADDRESS` of keyctl serve, instead of --db: https://HOST:PORT or unix:SOCKET")
	flag.StringVar(&s.keyFile, "key-file", "", "with --server: the `FILE` with this program's verify key")
	flag.BoolVar(&s.insecure, "insecure-server", false, "with --server: allow http://127.0.0.1:PORT, for a trial")
	return s
}

// Open returns a verifier for the guarded server with this name, which may be empty. Call closeSource
// at the end: it writes the counts of the last seconds.
func (s *Source) Open(audience string) (v *verifier.Verifier, closeSource func() error, err error) {
	s.audience = audience
	switch {
	case s.server != "" && s.db != "":
		return nil, nil, errors.New("--db and --server cannot be combined: keys are read from one of them")
	case s.server == "" && s.keyFile != "":
		return nil, nil, errors.New("--key-file is for --server")
	case s.server != "":
		return s.openServer()
	case s.db == "":
		s.db = "mcpkeys.db"
	}
	return s.openStore()
}

func (s *Source) openServer() (*verifier.Verifier, func() error, error) {
	source := remote.New(s.server, &remote.Options{KeyFile: s.keyFile, Audience: s.audience, InsecureHTTP: s.insecure})
	v, err := verifier.New(source, nil)
	if err != nil {
		return nil, nil, err
	}
	return v, v.Close, nil
}

func (s *Source) openStore() (*verifier.Verifier, func() error, error) {
	st, err := sqlite.OpenVerifier(s.db, nil)
	if err != nil {
		return nil, nil, err
	}
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return v, func() error { return errors.Join(v.Close(), st.Close()) }, nil
}
