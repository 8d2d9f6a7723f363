// Package guardtest is shared by the tests of the three guards: a real key store with keys in
// every state ([NewKeyring]), and one table of requests and exact answers, which runs on each
// adapter ([Run]).
//
// It is for tests only and uses no fakes: the store is SQLite in a temporary directory, and
// requests use a real connection.
package guardtest

import (
	"context"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// Audience is the name of the server that [Keyring.Guard] guards.
const Audience = "weather"

// Keyring is a key store, the manager beside it and a verifier that reads it through
// a counter.
type Keyring struct {
	t        testing.TB
	path     string
	store    *sqlite.Store
	manager  *admin.Local
	verifier *verifier.Verifier
	reads    atomic.Int64
	checks   atomic.Int64
	pulled   atomic.Bool
	names    int
}

// NewKeyring makes an empty key store that is closed when the test ends.
func NewKeyring(t testing.TB) *Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return openKeyring(t, path)
}

// Elsewhere opens the same keys a second time, as another process would.
func (k *Keyring) Elsewhere() *Keyring {
	k.t.Helper()
	return openKeyring(k.t, k.path)
}

func openKeyring(t testing.TB, path string) *Keyring {
	t.Helper()
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	k := &Keyring{t: t, path: path, store: store}
	if k.manager, err = admin.NewLocal(store, "test", nil); err != nil {
		t.Fatalf("NewLocal: %v", err)
	}
	if k.verifier, err = verifier.New(local.New(&countingReader{Store: store, reads: &k.reads, pulled: &k.pulled}, nil), nil); err != nil {
		t.Fatalf("verifier.New: %v", err)
	}
	t.Cleanup(func() { _ = k.verifier.Close() })
	return k
}

type countingReader struct {
	local.Store
	reads  *atomic.Int64
	pulled *atomic.Bool
}

func (r *countingReader) Key(ctx context.Context, id string) (*keys.Key, error) {
	r.reads.Add(1)
	if r.pulled.Load() {
		return nil, keys.ErrUnavailable
	}
	return r.Store.Key(ctx, id)
}

// Rehash renews nothing, so that keys change when a test says so.
func (r *countingReader) Rehash(context.Context, *pepper.Rehash, time.Time) error { return nil }

func (r *countingReader) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	if r.pulled.Load() {
		return feed.Changes{}, keys.ErrUnavailable
	}
	return r.Store.Changes(ctx, since)
}

// Pull takes the store from the verifier, or gives it back. In between no key can be looked up
// and no change is seen; changes are still made.
func (k *Keyring) Pull(out bool) { k.pulled.Store(out) }

// Path is the database's, for another process.
func (k *Keyring) Path() string { return k.path }

// Reads counts how often a key was looked up.
func (k *Keyring) Reads() int64 { return k.reads.Load() }

// Guard guards a server named [Audience] with these keys; o may say more.
func (k *Keyring) Guard(o *middleware.Options) *middleware.Guard {
	opts := middleware.Options{}
	if o != nil {
		opts = *o
	}
	if opts.Audience == "" {
		opts.Audience = Audience
	}
	return middleware.New(&countingVerifier{k.verifier, &k.checks}, &opts)
}

// countingVerifier counts the requests whose key was checked.
type countingVerifier struct {
	*verifier.Verifier
	checks *atomic.Int64
}

func (v *countingVerifier) Authenticate(ctx context.Context, token string, call verifier.Call) keys.Decision {
	defer v.checks.Add(1)
	return v.Verifier.Authenticate(ctx, token, call)
}

// Verifier reads these keys.
func (k *Keyring) Verifier() *verifier.Verifier { return k.verifier }

// Issue makes a key and returns its token and id. A name is made up if req has none.
func (k *Keyring) Issue(req admin.IssueRequest) (token, id string) {
	k.t.Helper()
	return k.issue(k.manager, req)
}

func (k *Keyring) issue(m admin.Manager, req admin.IssueRequest) (token, id string) {
	k.t.Helper()
	if req.Name == "" {
		k.names++
		req.Name = fmt.Sprintf("key-%d", k.names)
	}
	issued, err := m.Issue(k.t.Context(), req)
	if err != nil {
		k.t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued.Token.Reveal(), issued.Key.ID
}

// Granted issues an ordinary key with the scopes.
func (k *Keyring) Granted(scopes ...string) string {
	k.t.Helper()
	token, _ := k.Issue(admin.IssueRequest{Scopes: scopes})
	return token
}

// Expired issues a key that expired an hour ago.
func (k *Keyring) Expired(scopes ...string) string {
	k.t.Helper()
	past := time.Now().Add(-2 * time.Hour)
	m, err := admin.NewLocal(k.store, "test", &admin.Options{Now: func() time.Time { return past }})
	if err != nil {
		k.t.Fatalf("NewLocal: %v", err)
	}
	token, _ := k.issue(m, admin.IssueRequest{Scopes: scopes, Expires: keys.ExpiresAt(past.Add(time.Hour))})
	return token
}

// Revoke ends the key.
func (k *Keyring) Revoke(id string) {
	k.t.Helper()
	if _, err := k.manager.Revoke(k.t.Context(), id, ""); err != nil {
		k.t.Fatalf("Revoke(%s): %v", id, err)
	}
}

// Change alters a key the way a manager does, sealed and with an event.
func (k *Keyring) Change(id string, change func(*keys.Key)) {
	k.t.Helper()
	_, err := k.store.Update(k.t.Context(), id, func(key *keys.Key) (audit.Event, error) {
		change(key)
		key.Version++
		k.store.Peppers().Seal(key)
		return audit.Event{
			ID: uuid.Must(uuid.NewV7()), At: time.Now().UTC().Truncate(time.Microsecond), Actor: "test",
			Action: "key.test", KeyID: id, RequestID: "test", Detail: "{}",
		}, nil
	})
	if err != nil {
		k.t.Fatalf("Update(%s): %v", id, err)
	}
}

// Rotate gives the key a second secret and returns its token; the first stays valid for grace.
func (k *Keyring) Rotate(id string, grace time.Duration) (token string) {
	k.t.Helper()
	body := keys.NewToken(keys.KindKey).Secret().Reveal()
	body = body[:len("mcpk_")] + id + body[len("mcpk_")+len(id):len(body)-6]
	second, err := keys.ParseToken(body + checkDigits(body))
	if err != nil {
		k.t.Fatalf("ParseToken: %v", err)
	}
	digest, pepper := k.store.Peppers().Digest(second.Secret())
	at := time.Now().UTC().Truncate(time.Microsecond)
	k.Change(id, func(key *keys.Key) {
		key.Secrets[0].ExpiresAt = at.Add(grace)
		key.Secrets = append(key.Secrets, keys.KeySecret{Number: 2, Scheme: keys.SchemeHMAC, PepperID: pepper, Digest: digest[:], CreatedAt: at})
	})
	return second.Secret().Reveal()
}

func checkDigits(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	crc, check := crc32.ChecksumIEEE([]byte(body)), [6]byte{}
	for i := range check {
		check[len(check)-1-i] = digits[crc%62]
		crc /= 62
	}
	return string(check[:])
}

// Break closes the store, so that no key can be looked up.
func (k *Keyring) Break() {
	k.t.Helper()
	if err := k.store.Close(); err != nil {
		k.t.Fatalf("Close: %v", err)
	}
}
