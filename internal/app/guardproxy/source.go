package guardproxy

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// Keys says where keys are read: from the key store of this machine, or from a server.
type Keys struct {
	DB, PepperFile string // the key store

	Server       string // instead of DB
	ServerUser   string
	KeyFile      string // of servers that name no other
	InsecureHTTP bool
}

// elsewhere reports whether this machine has neither the key store nor the program that serves it,
// as far as the address of the server tells.
func (k *Keys) elsewhere() bool {
	if k.Server == "" || strings.HasPrefix(k.Server, socketMark) {
		return false
	}
	u, err := url.Parse(k.Server)
	return err == nil && u.Host != "" && !hostcheck.ThisMachine(u.Hostname())
}

// checker checks keys for one or more servers.
type checker struct {
	*verifier.Verifier
	store *sqlite.Reader // nil with a server
}

// open returns the checker for an MCP server.
func (k *Keys) open(audience, keyFile string, logger *slog.Logger) (*checker, error) {
	c := &checker{}
	var source verifier.Source
	if k.Server != "" {
		if keyFile == "" {
			keyFile = k.KeyFile
		}
		source = remote.New(k.Server, &remote.Options{
			KeyFile: keyFile, Audience: audience, InsecureHTTP: k.InsecureHTTP, ServerUser: k.ServerUser, Logger: logger,
		})
	} else {
		st, err := sqlite.OpenVerifier(k.DB, &sqlite.Options{PepperFile: k.PepperFile})
		if err != nil {
			return nil, err
		}
		c.store, source = st, local.New(st, nil)
	}
	v, err := verifier.New(source, &verifier.Options{OnUseError: func(err error) {
		logger.Error("use of keys could not be recorded", slog.Any("error", err))
	}})
	if err != nil {
		return nil, errors.Join(err, c.closeStore())
	}
	c.Verifier = v
	return c, nil
}

func (c *checker) closeStore() error {
	if c.store == nil {
		return nil
	}
	return c.store.Close()
}

// Close writes the counts of the last seconds.
func (c *checker) Close() error { return errors.Join(c.Verifier.Close(), c.closeStore()) }
