package verifier_test

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// counting is the real store with its reads counted, and with a cable that can be
// pulled.
type counting struct {
	*sqlite.Reader
	reads  atomic.Int64
	others atomic.Int64 // of superseded secrets
	pulled atomic.Bool
	moved  atomic.Bool // others have another store open
}

func (c *counting) Key(ctx context.Context, id string) (*keys.Key, error) {
	c.reads.Add(1)
	if c.pulled.Load() {
		return nil, keys.ErrUnavailable
	}
	if err := ctx.Err(); err != nil { // as a store may that talks to a network
		return nil, err
	}
	return c.Reader.Key(ctx, id)
}

func (c *counting) Superseded(ctx context.Context, id string) ([]keys.Superseded, error) {
	c.others.Add(1)
	return c.Reader.Superseded(ctx, id)
}

func (c *counting) FindImported(ctx context.Context, lookups [][]byte) ([]string, error) {
	c.reads.Add(1)
	if c.pulled.Load() {
		return nil, keys.ErrUnavailable
	}
	return c.Reader.FindImported(ctx, lookups)
}

// Rehash renews nothing, so that keys change when a test says so.
func (c *counting) Rehash(context.Context, *pepper.Rehash, time.Time) error { return nil }

func (c *counting) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	if c.pulled.Load() {
		return feed.Changes{}, keys.ErrUnavailable
	}
	if c.moved.Load() {
		return feed.Changes{}, &feed.MisplacedError{Cause: keys.ErrUnavailable}
	}
	return c.Reader.Changes(ctx, since)
}

// bench is one deployment: an administrator's store, a query-only store of a server
// on the same file, a clock.
type bench struct {
	path    string
	store   *sqlite.Store
	reader  *counting
	manager admin.Manager
	v       *verifier.Verifier
	now     time.Time
	later   atomic.Int64  // by how much the clock is ahead of now, as a duration; where the clock is read in the background
	slots   chan struct{} // for slow hashes
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchAt(t, filepath.Join(t.TempDir(), "keys.db"))
}

// newBenchAt makes the key store at path.
func newBenchAt(t *testing.T, path string) *bench {
	t.Helper()
	b := &bench{path: path, now: time.Now().UTC().Truncate(time.Second)}
	if err := sqlite.Create(b.path, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.store, err = sqlite.Open(b.path, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	ahead := func() time.Time { return time.Now().Add(24 * time.Hour) } // of b.now, or uses would count as of an earlier time
	reader, err := sqlite.OpenVerifier(b.path, &sqlite.Options{Now: ahead})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	clock := func() time.Time { return b.now.Add(time.Duration(b.later.Load())) }
	b.reader = &counting{Reader: reader}
	if b.manager, err = admin.NewLocal(b.store, "local:test(1)", &admin.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if b.v, err = verifier.New(b.source(b.reader), &verifier.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	return b
}

// lease is that of the store.
const lease = 2 * time.Second

// source is a source over store that goes by the bench's clock.
func (b *bench) source(store local.Store) *local.Source {
	b.slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	return local.New(store, &local.Options{Now: func() time.Time { return b.now.Add(time.Duration(b.later.Load())) }, SlowHashes: b.slots})
}

// holdSlowHashes keeps every slow hash of the source that was made last from being
// computed until it is called off.
func (b *bench) holdSlowHashes() (callOff func()) {
	slots := b.slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	return func() {
		for range cap(slots) {
			<-slots
		}
	}
}

func (b *bench) issue(t *testing.T, req admin.IssueRequest) (id, token string) {
	t.Helper()
	issued, err := b.manager.Issue(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Key.ID, issued.Token.Reveal()
}

func (b *bench) want(t *testing.T, token string, call verifier.Call, want keys.Code) keys.Decision {
	t.Helper()
	d := b.v.Authenticate(t.Context(), token, call)
	if d.Code != want || d.Valid() != (want == keys.CodeValid) {
		t.Errorf("Authenticate: got %v (%v), want %v", d.Code, d.Cause, want)
	}
	return d
}

// sqlShell runs one statement as a person with a database shell would.
func (b *bench) sqlShell(t *testing.T, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite3", b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// lockWrites begins a change as a database shell does, so that no one else can write until
// unlock is called.
func (b *bench) lockWrites(t *testing.T) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+b.path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestLife walks one key through everything that can happen to it.
func TestLife(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{
		Name: "ci", Owner: "team-a", Scopes: []string{"tools:get_*"}, Audience: []string{"weather"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	good := verifier.Call{Audience: "weather", ClientIP: netip.MustParseAddr("10.1.2.3")}

	d := b.want(t, token, good, keys.CodeValid)
	if d.KeyID != id || d.Identity.KeyID() != id || d.Identity.Name() != "ci" || d.Identity.Owner() != "team-a" {
		t.Errorf("identity: got %s %s %s", d.Identity.KeyID(), d.Identity.Name(), d.Identity.Owner())
	}
	if !d.Identity.Allows("tools:get_forecast") || d.Identity.Allows("tools:set_x") {
		t.Error("identity: the scopes are not the key's")
	}
	b.want(t, token, verifier.Call{Audience: "mail", ClientIP: good.ClientIP}, keys.CodeWrongAudience)
	b.want(t, token, verifier.Call{ClientIP: good.ClientIP}, keys.CodeWrongAudience)
	b.want(t, token, verifier.Call{Audience: "weather"}, keys.CodeIPNotAllowed)
	b.want(t, token, verifier.Call{Kind: keys.KindAdmin, Audience: "weather", ClientIP: good.ClientIP}, keys.CodeWrongKind)
	b.want(t, token, verifier.Call{Any: true, ClientIP: good.ClientIP}, keys.CodeValid)

	b.now = b.now.Add(keys.DefaultLife - time.Microsecond)
	b.want(t, token, good, keys.CodeValid)
	b.now = b.now.Add(time.Microsecond)
	b.want(t, token, good, keys.CodeExpired)

	if _, err := b.manager.Revoke(t.Context(), id, "done"); err != nil {
		t.Fatal(err)
	}
	b.want(t, token, good, keys.CodeRevoked)
	b.now = b.now.Add(-time.Hour) // a clock set back makes no revoked key valid
	b.want(t, token, good, keys.CodeRevoked)
}

// TestMalformedNeverReachesTheStore: junk of whatever shape costs no read, so that a
// flood of it cannot load the database.
func TestMalformedNeverReachesTheStore(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	last := byte('0')
	if token[len(token)-1] == '0' {
		last = '1'
	}
	for _, text := range []string{
		token[:len(token)-1] + string(last), token + " ", " " + token, token[1:], strings.ToUpper(token), "x",
		strings.Repeat("a", 1<<20), "mcpk_", "mcpk_' OR 1=1 --_" + strings.Repeat("0", 36), "\x00", "Bearer " + token,
	} {
		b.want(t, text, verifier.Call{}, keys.CodeMalformed)
	}
	b.want(t, "", verifier.Call{}, keys.CodeNoCredential)
	if n := b.reader.reads.Load(); n != 0 {
		t.Errorf("the store was read %d times, want 0", n)
	}
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	if n := b.reader.reads.Load(); n != 1 {
		t.Errorf("a good key read the store %d times, want 1", n)
	}
}

// TestA5KeysThatLookAlike: a key whose id is known and whose secret is another key's,
// or off by one character with a corrected check, is not found; the answer is the same as
// for an unknown id.
func TestA5KeysThatLookAlike(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "one"})
	_, other := b.issue(t, admin.IssueRequest{Name: "two"})
	for name, text := range map[string]string{
		"unknown id":             keys.NewToken(keys.KindKey).Secret().Reveal(),
		"unknown admin id":       keys.NewToken(keys.KindAdmin).Secret().Reveal(),
		"id with another secret": withCheck(other[:5] + id + other[17:48]),
		"one character off":      withCheck(token[:47] + otherDigit(token[47])),
		"as an admin key":        withCheck("mcpa" + token[4:48]),
	} {
		d := b.v.Authenticate(t.Context(), text, verifier.Call{})
		if d.Code != keys.CodeNotFound || d.Identity != nil || d.RetryAfter != 0 || d.Cause != nil {
			t.Errorf("%s: got %+v, want not_found and nothing more", name, d)
		}
	}
}

// otherDigit is a base62 digit, but not d.
func otherDigit(d byte) string {
	if d == 'a' {
		return "b"
	}
	return "a"
}

// withCheck appends the digits that make body parse, as an attacker would.
func withCheck(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	crc := crc32IEEE(body)
	var check [6]byte
	for i := range check {
		check[5-i] = digits[crc%62]
		crc /= 62
	}
	return body + string(check[:])
}

func crc32IEEE(s string) uint32 {
	crc := ^uint32(0)
	for i := range len(s) {
		crc ^= uint32(s[i])
		for range 8 {
			crc = crc>>1 ^ 0xedb88320&-(crc&1)
		}
	}
	return ^crc
}

// TestA7NoStoreDenies: a program that drops the error of opening its store gets no
// verifier, and one whose store fails refuses; neither accepts a key.
func TestA7NoStoreDenies(t *testing.T) {
	var missing *sqlite.Reader
	for name, reader := range map[string]local.Store{"nil": nil, "typed nil": missing} {
		if v, err := verifier.New(local.New(reader, nil), nil); err == nil || v != nil {
			t.Errorf("New(%s): got %v, %v, want an error", name, v, err)
		}
	}
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	if err := b.reader.Close(); err != nil {
		t.Fatal(err)
	}
	d := b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
	if d.Cause == nil || !errors.Is(d.Cause, keys.ErrUnavailable) || d.RetryAfter <= 0 {
		t.Errorf("closed store: got %+v, want a cause and a time to come back", d)
	}
}

// TestA27EditedRows: an attacker with a database shell, but without the pepper, makes a key
// stronger, longer-lived, valid again or their own. It becomes unusable, the cause names it,
// and every other key still works.
func TestA27EditedRows(t *testing.T) {
	for name, edit := range map[string]string{
		"scopes":     `UPDATE keys SET scopes = '["*"]' WHERE name = 'victim'`,
		"expiry":     `UPDATE keys SET expires_at = NULL WHERE name = 'victim'`,
		"kind":       `UPDATE keys SET kind = 'admin' WHERE name = 'victim'`,
		"audience":   `UPDATE keys SET audience = '[]' WHERE name = 'victim'`,
		"addresses":  `UPDATE keys SET allowed_ips = '[]' WHERE name = 'victim'`,
		"owner":      `UPDATE keys SET owner = 'root' WHERE name = 'victim'`,
		"revocation": `UPDATE keys SET revoked_at = NULL, revoked_reason = '' WHERE name = 'victim'`,
		"digest":     `UPDATE secrets SET digest = (SELECT digest FROM secrets JOIN keys ON keys.id = key_id WHERE name = 'other') WHERE key_id = (SELECT id FROM keys WHERE name = 'victim')`,
		"seal":       `UPDATE keys SET seal = (SELECT seal FROM keys WHERE name = 'other') WHERE name = 'victim'`,
		"secrets":    `DELETE FROM secrets WHERE key_id = (SELECT id FROM keys WHERE name = 'victim')`,
		"not text":   `UPDATE keys SET scopes = '[1]' WHERE name = 'victim'`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id, token := b.issue(t, admin.IssueRequest{
				Name: "victim", Owner: "team-a", Scopes: []string{"tools:a"}, Audience: []string{"weather"},
				AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			})
			_, other := b.issue(t, admin.IssueRequest{Name: "other"})
			if name == "revocation" {
				if _, err := b.manager.Revoke(t.Context(), id, "leaked"); err != nil {
					t.Fatal(err)
				}
			}
			b.sqlShell(t, edit)
			call := verifier.Call{Audience: "weather", ClientIP: netip.MustParseAddr("127.0.0.1")}
			d := b.want(t, token, call, keys.CodeUnavailable)
			if !errors.Is(d.Cause, keys.ErrTampered) || !strings.Contains(d.Cause.Error(), id) {
				t.Errorf("cause: got %v, want ErrTampered that names %s", d.Cause, id)
			}
			b.want(t, other, call, keys.CodeValid)
			if _, err := b.manager.Revoke(t.Context(), id, "edited by hand"); err != nil {
				t.Errorf("Revoke of an edited key: %v", err)
			}
			if name != "digest" && name != "secrets" { // the token is still its own
				b.want(t, token, call, keys.CodeRevoked)
			}
		})
	}
}

// TestRateLimit: the limit is exact under contention, a refused call counts nothing,
// and a cost counts as that many calls.
func TestRateLimit(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci", RateLimit: keys.RateLimit{Count: 60, Window: time.Minute, Burst: 20}})
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if b.v.Authenticate(t.Context(), token, verifier.Call{}).Valid() {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 20 {
		t.Errorf("80 calls at one instant: %d passed, want the burst of 20", n)
	}
	if d := b.want(t, token, verifier.Call{}, keys.CodeRateLimited); d.RetryAfter != time.Second {
		t.Errorf("RetryAfter: got %v, want 1s", d.RetryAfter)
	}
	b.now = b.now.Add(5 * time.Second)
	b.want(t, token, verifier.Call{Cost: 6}, keys.CodeRateLimited)
	b.want(t, token, verifier.Call{Cost: 5}, keys.CodeValid)
	b.want(t, token, verifier.Call{}, keys.CodeRateLimited)
	b.now = b.now.Add(time.Hour)
	b.want(t, token, verifier.Call{Cost: 21}, keys.CodeRateLimited)
	b.want(t, token, verifier.Call{Cost: 20}, keys.CodeValid)
	b.want(t, token, verifier.Call{}, keys.CodeRateLimited) // an idle hour saves up the burst at most
}

// TestRefusedCallsCountNothing: calls that are refused for another reason do not eat
// up the key's rate.
func TestRefusedCallsCountNothing(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci", Audience: []string{"weather"}, RateLimit: keys.RateLimit{Count: 1, Window: time.Minute, Burst: 1}})
	for range 5 {
		b.want(t, token, verifier.Call{Audience: "mail"}, keys.CodeWrongAudience)
	}
	b.want(t, token, verifier.Call{Audience: "weather"}, keys.CodeValid)
	b.want(t, token, verifier.Call{Audience: "weather"}, keys.CodeRateLimited)
}
