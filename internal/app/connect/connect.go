// Package connect opens the key store for a command or the dashboard. Only this package knows
// whether the keys are in a file or behind a server.
//
// Fill a [Settings] from flags, complete it with [Settings.WithEnv], and call
// [Settings.Admin] to change keys or [Settings.Checker] to check one. Close what they return.
//
// If [Settings.Server] is set, all calls go to the admin API there, with the admin key from a
// file or the environment; otherwise they go to the database.
//
// The package never makes a missing key store, except in [Settings.Create] and
// [Settings.Recreate]. If both a database and a server are named it refuses both, so that a
// user does not change keys in the wrong place.
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

// MayChange reports whether changes are allowed at all: always beside the store, and through a
// server if the admin key has keys:write. Each change is still checked.
func (a *Admin) MayChange(ctx context.Context) (bool, error) {
	if a.remote == nil {
		return true, nil
	}
	me, err := a.remote.Whoami(ctx)
	return slices.Contains(me.Scopes, keys.ScopeKeysWrite), err
}

// Close releases the store. Do not use the Manager afterwards.
func (a *Admin) Close() error { return a.close() }

// Admin opens the key store for changes. Their actor is the user who runs this process, or
// through a server the admin key.
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

// Keeper opens the key store of this machine for work that is not possible through a server,
// such as changing its peppers. Call closeStore in the end.
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

// Checker opens the key store to check keys. It changes nothing.
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

// Check decides about token as a guarded server would for call, if the call needs all scopes
// of required.
func (c *Checker) Check(ctx context.Context, token string, call verifier.Call, required ...string) keys.Decision {
	return c.check(ctx, token, call, required)
}

// Close releases the store.
func (c *Checker) Close() error { return c.close() }

// Reader opens the key store of this machine to read its rows, without a Manager. Close it
// after use.
func (s Settings) Reader() (store.Reader, error) {
	if err := s.Local(); err != nil {
		return nil, err
	}
	return sqlite.OpenVerifier(s.DB, s.options())
}

// Create makes the key store, which must not exist. The error is [fs.ErrExist] if
// it does, or if the pepper file belongs to another one.
func (s Settings) Create() error { return s.create(s.options()) }

// Recreate is Create for a store whose database is lost: it uses the pepper file of that
// store, and the store keeps its id.
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
