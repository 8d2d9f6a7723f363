// Package connect turns settings into the key store that a command or a screen
// acts on: the one place that knows whether keys are in a file or behind a server.
//
// Fill a [Settings] from flags, complete it with [Settings.WithEnv], and call
// [Settings.Admin] to change keys or [Settings.Checker] to check one. Close what
// they return.
//
// With [Settings.Server] set everything goes to the admin API there, with the admin
// key from a file or the environment; else to the database.
//
// The package refuses to guess: it makes no key store that is not there, and reads
// no configuration but what it was given. Where both a database and a server are
// named it does nothing: who believes to revoke a key over there must not revoke one
// here.
package connect

import (
	"context"
	"slices"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// Admin changes keys. Close it after use.
type Admin struct {
	admin.Manager
	remote *client.Client // nil beside the store
	close  func() error
}

// MayChange reports whether this admin may change keys at all: who opened the store
// itself may, and an admin key that holds keys:write. What exactly is decided with each
// change.
func (a *Admin) MayChange(ctx context.Context) (bool, error) {
	if a.remote == nil {
		return true, nil
	}
	me, err := a.remote.Whoami(ctx)
	return slices.Contains(me.Scopes, keys.ScopeKeysWrite), err
}

// Close releases the store. Nothing may be asked of the Manager afterwards.
func (a *Admin) Close() error { return a.close() }

// Admin opens the key store for changes, made in the name of the user who runs
// this process; behind a server, in the name of the admin key.
func (s Settings) Admin(ctx context.Context) (*Admin, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Server != "" {
		c, err := s.client(ctx)
		if err != nil {
			return nil, err
		}
		return &Admin{Manager: c, remote: c, close: c.Close}, nil
	}
	m, closeStore, err := s.Keeper()
	if err != nil {
		return nil, err
	}
	return &Admin{Manager: m, close: closeStore}, nil
}

// Keeper opens the key store of this machine, for what no server does in one's stead:
// its peppers. Call closeStore in the end.
func (s Settings) Keeper() (m *admin.Local, closeStore func() error, err error) {
	if err := s.Local(); err != nil {
		return nil, nil, err
	}
	st, err := sqlite.Open(s.DB, s.options())
	if err != nil {
		return nil, nil, err
	}
	m, err = admin.NewLocal(st, localActor(), nil)
	if err != nil {
		_ = st.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return m, st.Close, nil
}

// Checker checks keys as a guarded server would. Close it after use.
type Checker struct {
	check func(ctx context.Context, token string, call verifier.Call, required []string) keys.Decision
	close func() error
}

// Checker opens the key store for checks, which change nothing.
func (s Settings) Checker(ctx context.Context) (*Checker, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Server != "" {
		c, err := s.client(ctx)
		if err != nil {
			return nil, err
		}
		return &Checker{check: remoteCheck(c), close: c.Close}, nil
	}
	r, err := sqlite.OpenVerifier(s.DB, s.options())
	if err != nil {
		return nil, err
	}
	v, err := verifier.New(local.New(r, &local.Options{ReadOnly: true}), nil)
	if err != nil {
		_ = r.Close() // the first error is the one to tell
		return nil, err
	}
	check := func(ctx context.Context, token string, call verifier.Call, required []string) keys.Decision {
		return v.Authenticate(ctx, token, call).Authorize(required...)
	}
	return &Checker{check: check, close: r.Close}, nil
}

// Check decides on token as a server asked for call would, when the call needs all
// of required.
func (c *Checker) Check(ctx context.Context, token string, call verifier.Call, required ...string) keys.Decision {
	return c.check(ctx, token, call, required)
}

// Close releases the store.
func (c *Checker) Close() error { return c.close() }

// Reader opens the key store of this machine for queries only: for what is asked of the
// rows themselves and not of a Manager. Close it after use.
func (s Settings) Reader() (store.Reader, error) {
	if err := s.Local(); err != nil {
		return nil, err
	}
	return sqlite.OpenVerifier(s.DB, s.options())
}

// Create makes the key store, which must not exist. The error is [fs.ErrExist] if
// it does, or if the pepper file belongs to another one.
func (s Settings) Create() error { return s.create(s.options()) }

// Recreate is Create for a store whose database is lost: it takes the pepper file that
// belongs to that store, and the store keeps its id.
func (s Settings) Recreate() error {
	o := s.options()
	o.SameStore = true
	return s.create(o)
}

func (s Settings) create(o *sqlite.Options) error {
	if err := s.Local(); err != nil {
		return err
	}
	return sqlite.Create(s.DB, o)
}

// SQLiteVersion is the version of SQLite that is built in.
func SQLiteVersion() string { return sqlite.Version() }
