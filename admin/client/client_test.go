package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/admin/client"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/store"
)

func mustClient(t testing.TB, address, token string) *client.Client {
	t.Helper()
	c, err := client.New(address, keys.NewSecret(token), nil)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Through the API a key is the same as beside the store, except for what never leaves the
// store.
func TestSameKeyAsBesideTheStore(t *testing.T) {
	f := servertest.New(t)
	c := mustClient(t, f.URL, f.Admin())
	local, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	expires, err := keys.ParseExpiry("36h")
	if err != nil {
		t.Fatal(err)
	}
	requests := []admin.IssueRequest{
		{Name: "bare"},
		{
			Name: "full", Owner: "ops", Scopes: []string{"tools:get_*", "x"}, Audience: []string{"weather", "https://mcp.example/mcp"},
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			RateLimit:  keys.RateLimit{Count: 60, Window: time.Minute, Burst: 5}, Metadata: map[string]string{"a": "b c"}, Expires: expires,
		},
		{Name: "ever", Expires: keys.NeverExpires()},
		{Name: "until", Expires: keys.ExpiresAt(time.Date(2090, 1, 31, 1, 2, 3, 456_000, time.UTC))},
		{Name: "root", Kind: keys.KindAdmin, MaxKeyLife: 48 * time.Hour},
	}
	everyFieldIsSet(t, requests)
	for _, req := range requests {
		issued, err := c.Issue(t.Context(), req)
		if err != nil {
			t.Fatalf("Issue(%s): %v", req.Name, err)
		}
		want, err := local.Key(t.Context(), issued.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Key(t.Context(), issued.Key.ID)
		if err != nil {
			t.Fatalf("Key(%s): %v", req.Name, err)
		}
		if diff := cmp.Diff(want, got, ignored...); diff != "" {
			t.Errorf("Key(%s) (-beside the store +through the API):\n%s", req.Name, diff)
		}
		if diff := cmp.Diff(issued.Key, got, ignored...); diff != "" {
			t.Errorf("Issue(%s) against Key:\n%s", req.Name, diff)
		}
		if token, err := keys.ParseToken(issued.Token.Reveal()); err != nil || token.ID() != issued.Key.ID {
			t.Errorf("Issue(%s): the secret is not of the key: %v", req.Name, err)
		}
	}
	if k, err := admin.Resolve(t.Context(), c, "ops/full"); err != nil || k.Name != "full" {
		t.Errorf("Resolve(ops/full): got %v, %v", k, err)
	}
	sameLists(t, c, local)
}

// Every change through the API leaves the key as the answer shows it.
func TestLifeThroughTheAPI(t *testing.T) {
	f := servertest.New(t)
	c := mustClient(t, f.URL, f.Admin())
	local, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	token, id := f.Issue(admin.IssueRequest{Name: "ci"})
	same := func(what string, got *keys.Key, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		want, err := local.Key(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, ignored...); diff != "" {
			t.Errorf("%s (-stored +answered):\n%s", what, diff)
		}
	}
	rotate := func(what string, req admin.RotateRequest) admin.Issued {
		t.Helper()
		issued, err := c.Rotate(t.Context(), id, req)
		same(what, issued.Key, err)
		return issued
	}
	issued := rotate("Rotate", admin.RotateRequest{Grace: new(90*time.Minute + time.Millisecond)})
	if old := issued.Key.Secrets[0]; !old.ExpiresAt.Equal(issued.Key.Secrets[1].CreatedAt.Add(90 * time.Minute)) {
		t.Errorf("Rotate: the old secret ends at %v, want 90 minutes", old.ExpiresAt)
	}
	k, err := local.Key(t.Context(), id)
	if err != nil || f.Store.Peppers().Verify(k, issued.Token).Number != 2 || f.Store.Peppers().Verify(k, keys.NewSecret(token)).Number != 1 {
		t.Errorf("Rotate: the secrets are not those of the key: %v", err)
	}
	if done := rotate("Finish", admin.RotateRequest{Finish: 1}); !done.Token.IsZero() {
		t.Error("Finish: got a secret")
	}
	if now := rotate("Rotate without grace", admin.RotateRequest{Grace: new(time.Duration)}); len(now.Key.Secrets) != 1 {
		t.Errorf("Rotate without grace: got %d secrets, want 1", len(now.Key.Secrets))
	}
	k, err = c.Disable(t.Context(), id, "odd")
	same("Disable", k, err)
	k, err = c.Enable(t.Context(), id)
	same("Enable", k, err)
	never, later := keys.NeverExpires(), keys.ExpiresAt(time.Date(2090, 1, 31, 1, 2, 3, 456_000, time.UTC))
	requests := []admin.EditRequest{
		{
			Name: new("web"), Owner: new("ops"), Scopes: &[]string{"tools:a"}, Audience: &[]string{"mail"}, Expires: &later,
			AllowedIPs: &[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RateLimit: &keys.RateLimit{Count: 60, Window: time.Minute, Burst: 5},
			Metadata: &map[string]string{"env": "prod"},
		},
		{Owner: new(""), Scopes: &[]string{}, Audience: &[]string{}, AllowedIPs: &[]netip.Prefix{}, RateLimit: &keys.RateLimit{}, Metadata: &map[string]string{}, Expires: &never},
		{Owner: new("again"), IfVersion: k.Version + 2},
	}
	everyFieldIsSet(t, append(requests, admin.EditRequest{MaxKeyLife: new(time.Hour)})) // of admin keys: below
	for _, req := range requests {
		k, err := c.Edit(t.Context(), id, req)
		same("Edit", k, err)
	}
	if _, err := c.Edit(t.Context(), id, admin.EditRequest{Owner: new("x"), IfVersion: k.Version}); !errors.Is(err, keys.ErrVersion) || err.Error() != keys.ErrVersion.Error() {
		t.Errorf("Edit of an older version: got %v, want ErrVersion", err)
	}
	root, err := c.Issue(t.Context(), admin.IssueRequest{Name: "root", Kind: keys.KindAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := c.Edit(t.Context(), root.Key.ID, admin.EditRequest{MaxKeyLife: new(time.Hour)}); err != nil || k.MaxKeyLife != time.Hour {
		t.Errorf("Edit of max_key_life: got %v, %v, want an hour", k, err)
	}
	f.Revoke(id)
	_, here := local.Rotate(t.Context(), id, admin.RotateRequest{})
	if _, err := c.Rotate(t.Context(), id, admin.RotateRequest{}); !errors.Is(err, keys.ErrConflict) || err.Error() != here.Error() {
		t.Errorf("Rotate of a revoked key: got %v, want %v", err, here)
	}
	var invalid *keys.InvalidError
	for what, req := range map[string]admin.EditRequest{"nothing": {}, "a key as name": {Name: &token}, "half a character": {Owner: new("\xff")}} {
		if _, err := c.Edit(t.Context(), id, req); !errors.As(err, &invalid) || keys.LooksLikeToken(err.Error()) {
			t.Errorf("Edit with %s: got %v, want an InvalidError", what, err)
		}
	}
	for what, do := range map[string]func(id string) error{
		"Rotate":  func(id string) error { _, err := c.Rotate(t.Context(), id, admin.RotateRequest{}); return err },
		"Disable": func(id string) error { _, err := c.Disable(t.Context(), id, ""); return err },
		"Enable":  func(id string) error { _, err := c.Enable(t.Context(), id); return err },
		"Edit": func(id string) error {
			_, err := c.Edit(t.Context(), id, admin.EditRequest{Owner: new("x")})
			return err
		},
	} {
		for _, id := range []string{"nobodyhasit1", "../whoami", ""} {
			if err := do(id); !errors.Is(err, keys.ErrNotFound) {
				t.Errorf("%s(%q): got %v, want ErrNotFound", what, id, err)
			}
		}
	}
}

// everyFieldIsSet fails for a field that none of the requests sets: otherwise a new field that
// does not cross the API would not be noticed.
func everyFieldIsSet[T any](t *testing.T, requests []T) {
	t.Helper()
	for field := range reflect.TypeFor[T]().Fields() {
		set := func(req T) bool { return !reflect.ValueOf(req).FieldByIndex(field.Index).IsZero() }
		if !slices.ContainsFunc(requests, set) {
			t.Errorf("no request sets %T.%s", requests[0], field.Name)
		}
	}
}

// ignored is what never leaves the store, and how the rest is compared.
var ignored = []cmp.Option{
	cmpopts.IgnoreFields(keys.Key{}, "Seal"), cmpopts.IgnoreFields(keys.KeySecret{}, "Scheme", "PepperID", "Digest", "Lookup"),
	cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// sameLists sends both managers the same queries.
func sameLists(t *testing.T, c, local admin.Manager) {
	t.Helper()
	ops, none := "ops", ""
	for _, q := range []keys.Query{
		{},
		{Limit: 2},
		{Status: keys.StatusActive},
		{Status: keys.StatusExpiring},
		{Unrevoked: true},
		{Kind: keys.KindAdmin},
		{Name: "full"},
		{Owner: &ops},
		{Owner: &none},
		{Scope: "tools:get_*"},
		{Audience: "weather"},
		{Search: "UL"},
		{ExpiresBy: time.Now().Add(48 * time.Hour)},
		{Limit: 1000},
		{Search: "a&b=c"},
	} {
		want, err1 := local.List(t.Context(), q)
		got, err2 := c.List(t.Context(), q)
		if err1 != nil || err2 != nil || got.Next != want.Next || fmt.Sprint(ids(got)) != fmt.Sprint(ids(want)) {
			t.Errorf("List(%+v): got %v %v, want %v %v", q, ids(got), err2, ids(want), err1)
		}
	}
}

func ids(p keys.Page) (out []string) {
	for _, k := range p.Keys {
		out = append(out, k.ID)
	}
	return out
}

// Usage through the API is the same as beside the store.
func TestSameUsageAsBesideTheStore(t *testing.T) {
	f := servertest.New(t)
	c := mustClient(t, f.URL, f.Admin())
	local, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, id := f.Issue(admin.IssueRequest{Name: "used"})
	_, idle := f.Issue(admin.IssueRequest{Name: "idle"})
	at := time.Now().UTC().Truncate(time.Microsecond)
	if err := f.Store.AddUse(t.Context(), []usage.Use{{
		KeyID: id, Last: []keys.LastUse{{Secret: 1, At: at.Add(-time.Hour)}, {Secret: 2, At: at, ClientIP: netip.MustParseAddr("2001:db8::1"), Agent: "node"}},
		Counts: []usage.Count{{Hour: at.Truncate(time.Hour), Code: keys.CodeValid, Calls: 3}, {Hour: at.Truncate(time.Hour), Code: keys.CodeInsufficientScope, Scope: "*", Calls: 1}, {Hour: at.Add(-100 * 24 * time.Hour), Code: keys.CodeValid, Calls: 7}},
	}}); err != nil {
		t.Fatal(err)
	}
	if u, err := local.Usage(t.Context(), id, time.Time{}); err != nil || !u.Counts[0].Day {
		t.Errorf("Usage: got %+v, %v, want a count of a day first", u.Counts, err)
	}
	sameAddr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, id := range []string{id, idle, "nobodyhasit1", "no id"} {
		for _, since := range []time.Time{{}, at.Add(-time.Nanosecond), at.Add(time.Hour)} {
			want, wantErr := local.Usage(t.Context(), id, since)
			got, err := c.Usage(t.Context(), id, since)
			if diff := cmp.Diff(want, got, sameAddr); diff != "" || errors.Is(err, keys.ErrNotFound) != errors.Is(wantErr, keys.ErrNotFound) || (err == nil) != (wantErr == nil) {
				t.Errorf("Usage(%s, %v): got %v, want %v (-local +remote):\n%s", id, since, err, wantErr, diff)
			}
		}
	}
	q := keys.Query{UnusedBy: at.Add(time.Nanosecond)}
	want, err := local.List(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.List(t.Context(), q)
	if err != nil || len(got.Keys) != len(want.Keys) || got.LastUsed == nil {
		t.Errorf("List of unused keys: got %d, %v, want %d", len(got.Keys), err, len(want.Keys))
	}
	got, err = c.List(t.Context(), keys.Query{})
	if err != nil || !got.LastUsed[id].At.Equal(at) || !got.LastUsed[idle].At.IsZero() {
		t.Errorf("List: got last uses %v, %v, want %v of one key", got.LastUsed, err, at)
	}
}

// The errors are the domain's, with the same texts for people.
func TestErrorsAreTheDomains(t *testing.T) {
	f := servertest.New(t)
	c := mustClient(t, f.URL, f.Admin())
	reader := mustClient(t, f.URL, f.Admin("keys:read"))
	revoked, id := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "gone"})
	f.Revoke(id)
	if _, err := c.Issue(t.Context(), admin.IssueRequest{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		do   func() error
		want error
		text string
	}{
		{"no such key", func() error { _, err := c.Key(t.Context(), "nobodyhasit1"); return err }, keys.ErrNotFound, "no such key"},
		{"no such key to revoke", func() error { _, err := c.Revoke(t.Context(), "nobodyhasit1", ""); return err }, keys.ErrNotFound, "no such key"},
		{"no id", func() error { _, err := c.Key(t.Context(), "../whoami"); return err }, keys.ErrNotFound, "no such key"},
		{"name taken", func() error { _, err := c.Issue(t.Context(), admin.IssueRequest{Name: "ci"}); return err }, keys.ErrNameTaken, keys.ErrNameTaken.Error()},
		{"not granted", func() error { _, err := reader.Issue(t.Context(), admin.IssueRequest{Name: "x"}); return err }, keys.ErrDenied, "keys:write"},
		{"not accepted", func() error {
			_, err := mustClient(t, f.URL, revoked).List(t.Context(), keys.Query{})
			return err
		}, keys.ErrDenied, "does not accept it"},
	} {
		err := tc.do()
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got %v, want %v with %q", tc.name, err, tc.want, tc.text)
		}
	}
	var invalid *keys.InvalidError
	_, err := c.Issue(t.Context(), admin.IssueRequest{Name: ""})
	local, _ := admin.NewLocal(f.Store, "test", nil)
	_, want := local.Issue(t.Context(), admin.IssueRequest{Name: ""})
	if !errors.As(err, &invalid) || invalid.Field != "name" || err.Error() != want.Error() {
		t.Errorf("Issue without a name: got %v, want %v", err, want)
	}
	past, err := keys.ParseExpiry("2000-01-01")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Issue(t.Context(), admin.IssueRequest{Name: "late", Expires: past})
	if _, want = local.Issue(t.Context(), admin.IssueRequest{Name: "late", Expires: past}); want == nil || err == nil || err.Error() != want.Error() {
		t.Errorf("Issue of an expired key: got %v, want %v", err, want)
	}
	if _, err := c.List(t.Context(), keys.Query{Cursor: "nonsense"}); !errors.As(err, &invalid) || invalid.Field != "cursor" {
		t.Errorf("List(bad cursor): got %v, want the field cursor", err)
	}
}

// Plain HTTP to another machine shows the admin key to the network.
func TestNewRefuses(t *testing.T) {
	admin := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for _, tc := range []struct {
		address, key string
		ok           bool
	}{
		{"https://keys.example", admin, true},
		{"http://localhost:8420", admin, true},
		{"http://127.0.0.1:8420/", admin, true},
		{"http://[::1]:8420", admin, true},
		{"http://keys.example", admin, false},
		{"http://10.0.0.1:8420", admin, false},
		{"http://localhost.example", admin, false},
		{"http://127.0.0.1.example", admin, false},
		{"keys.example:8420", admin, false},
		{"ftp://keys.example", admin, false},
		{"https://user:pw@keys.example", admin, false},
		{"https://keys.example?x=y", admin, false},
		{"", admin, false},
		{"https://" + admin, admin, false},
		{"https://keys.example", "", false},
		{"https://keys.example", admin + "\n", false},
		{"https://keys.example", keys.NewToken(keys.KindKey).Secret().Reveal(), false},
	} {
		_, err := client.New(tc.address, keys.NewSecret(tc.key), nil)
		var invalid *keys.InvalidError
		if tc.ok != (err == nil) || !tc.ok && !errors.As(err, &invalid) {
			t.Errorf("New(%q): got %v, want ok %v", tc.address, err, tc.ok)
		}
		if err != nil && keys.HoldsToken(err.Error()) {
			t.Errorf("New(%q): the error repeats the key", tc.address)
		}
	}
	if _, err := client.New("http://keys.example", keys.NewSecret(admin), &client.Options{InsecureHTTP: true}); err != nil {
		t.Errorf("New with InsecureHTTP: %v", err)
	}
}

// scripted answers with the statuses in order, and counts.
func scripted(t *testing.T, statuses ...int) (address string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := min(int(calls.Add(1)), len(statuses))
		status := statuses[n-1]
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
		if status == 200 {
			_, _ = w.Write([]byte(`{"data":[],"next_cursor":""}`))
			return
		}
		_, _ = fmt.Fprintf(w, `{"status":%d,"code":"unavailable","detail":"not now"}`, status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, calls
}

// Reads are repeated, changes never: a repeated issue makes two keys.
func TestRetry(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	address, calls := scripted(t, 503, 503, 200)
	if _, err := mustClient(t, address, token).List(t.Context(), keys.Query{}); err != nil || calls.Load() != 3 {
		t.Errorf("List: got %v after %d calls, want success after 3", err, calls.Load())
	}
	address, calls = scripted(t, 503)
	if _, err := mustClient(t, address, token).List(t.Context(), keys.Query{}); !errors.Is(err, keys.ErrUnavailable) || calls.Load() != 3 {
		t.Errorf("List: got %v after %d calls, want ErrUnavailable after 3", err, calls.Load())
	}
	address, calls = scripted(t, 503)
	if _, err := mustClient(t, address, token).Issue(t.Context(), admin.IssueRequest{Name: "x"}); !errors.Is(err, keys.ErrUnavailable) || calls.Load() != 1 {
		t.Errorf("Issue: got %v after %d calls, want ErrUnavailable after 1", err, calls.Load())
	}
	address, calls = scripted(t, 503)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mustClient(t, address, token).List(ctx, keys.Query{}); err == nil || calls.Load() > 1 {
		t.Errorf("List with a cancelled context: got %v after %d calls", err, calls.Load())
	}
}

// An error after a commit is the same as the store beside the program reports, and the request
// is not repeated.
func TestOutcomesAfterTheCommit(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	revoke := func(code string) error {
		calls := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"status":500,"code":%q,"detail":"x","request_id":"r1"}`, code)
		}))
		defer srv.Close()
		_, err := mustClient(t, srv.URL, token).Revoke(t.Context(), "abcdefghijkl", "")
		if calls != 1 {
			t.Errorf("%s: got %d calls, want 1", code, calls)
		}
		return err
	}
	var written *store.WrittenError
	if err := revoke("not_announced"); !errors.As(err, &written) || !written.Unannounced {
		t.Errorf("not_announced: got %v, want a WrittenError", err)
	}
	var altered *feed.AlteredError
	if err := revoke("store_altered"); !errors.As(err, &altered) || strings.Contains(err.Error(), "change was not made") {
		t.Errorf("store_altered: got %v, want an AlteredError that fits a question too", err)
	}
	var lost *store.MayBeLostError
	err := revoke("may_be_lost")
	if !errors.As(err, &lost) || errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "repeat it if not") || !strings.Contains(err.Error(), "r1") {
		t.Errorf("may_be_lost: got %v, want a MayBeLostError that names the request", err)
	}
}

// The attack: the server at the address is another one, or redirects the client to one that
// wants the admin key.
func TestForeignAnswers(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for _, status := range []int{301, 302, 307, 308} {
		address, calls := scripted(t, status, 200)
		_, err := mustClient(t, address, token).Revoke(t.Context(), "abcdefghijkl", "")
		if !errors.Is(err, keys.ErrUnavailable) || calls.Load() != 1 {
			t.Errorf("redirect %d: got %v after %d calls, want ErrUnavailable after 1", status, err, calls.Load())
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(srv.Close)
	if _, err := mustClient(t, srv.URL, token).Key(t.Context(), "abcdefghijkl"); err == nil || strings.Contains(err.Error(), "html") {
		t.Errorf("a web page: got %v, want an error without it", err)
	}
}

// Only after a change that may have reached the server, the error says to check whether it was
// made.
func TestNoAnswer(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hangsUp.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, tc := range []struct {
		name, address string
		do            func(*client.Client) error
		warns         bool
	}{
		{"issue", hangsUp.URL, func(c *client.Client) error {
			_, err := c.Issue(t.Context(), admin.IssueRequest{Name: "x"})
			return err
		}, true},
		{"revoke", hangsUp.URL, func(c *client.Client) error { _, err := c.Revoke(t.Context(), "abcdefghijkl", ""); return err }, true},
		{"verify", hangsUp.URL, func(c *client.Client) error { _, err := c.Verify(t.Context(), api.VerifyRequest{Key: "x"}); return err }, false},
		{"list", hangsUp.URL, func(c *client.Client) error { _, err := c.List(t.Context(), keys.Query{}); return err }, false},
		{"issue, no server", gone.URL, func(c *client.Client) error {
			_, err := c.Issue(t.Context(), admin.IssueRequest{Name: "x"})
			return err
		}, false},
	} {
		err := tc.do(mustClient(t, tc.address, token))
		if !errors.Is(err, keys.ErrUnavailable) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "may have been made") != tc.warns {
			t.Errorf("%s: got %v, want ErrUnavailable, and a warning %v", tc.name, err, tc.warns)
		}
	}
}

// The client never prints its key, and its requests carry it in one header only.
func TestClientKeepsItsKey(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	var seen http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }))
	t.Cleanup(srv.Close)
	c := mustClient(t, srv.URL, token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, token[20:]) {
			t.Errorf("%s of a client holds its key", verb)
		}
	}
	_, _ = c.Verify(t.Context(), api.VerifyRequest{Key: "x"})
	if got := seen.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+token {
		t.Errorf("Authorization: got %d values", len(got))
	}
	seen.Del("Authorization")
	if strings.Contains(fmt.Sprint(seen), token) {
		t.Errorf("another header holds the key too")
	}
}

// A wrong address must not read as "no such key": otherwise a user who revokes a leaked key
// there would believe that it is revoked.
func TestAnotherServerIsNotAnEmptyOne(t *testing.T) {
	srv := httptest.NewServer(mcpauth.NotFound(nil))
	t.Cleanup(srv.Close)
	c := mustClient(t, srv.URL, keys.NewToken(keys.KindAdmin).Secret().Reveal())
	_, list := c.List(t.Context(), keys.Query{})
	_, key := c.Key(t.Context(), "abcdefghijkl")
	_, revoke := c.Revoke(t.Context(), "abcdefghijkl", "")
	for what, err := range map[string]error{"List": list, "Key": key, "Revoke": revoke} {
		if errors.Is(err, keys.ErrNotFound) || !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s at an MCP server: got %v, want ErrUnavailable", what, err)
		}
	}
}
