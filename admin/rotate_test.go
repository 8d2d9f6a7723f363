package admin_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// life is a manager whose clock the test sets.
type life struct {
	*admin.Local
	t     *testing.T
	now   time.Time
	store *sqlite.Store
	path  string
}

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{t: t, now: noon, path: filepath.Join(t.TempDir(), "keys.db")}
	if err := sqlite.Create(l.path, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.store, err = sqlite.Open(l.path, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.store.Close() })
	l.Local, err = admin.NewLocal(l.store, "local:test(1)", &admin.Options{Now: func() time.Time { return l.now }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// admit returns the result of a request with the token now.
func (l *life) admit(token keys.Secret) keys.Code {
	l.t.Helper()
	parsed, err := keys.ParseToken(token.Reveal())
	if err != nil {
		l.t.Fatal(err)
	}
	k, err := l.Key(l.t.Context(), parsed.ID())
	if err != nil {
		l.t.Fatal(err)
	}
	s := l.store.Peppers().Verify(k, token)
	if s == nil {
		return keys.CodeNotFound
	}
	return k.Admit(s, l.now, keys.Demand{})
}

func (l *life) wantCodes(when string, tokens map[string]keys.Secret, want map[string]keys.Code) {
	l.t.Helper()
	for name, token := range tokens {
		if got := l.admit(token); got != want[name] {
			l.t.Errorf("%s: the %s secret: got %s, want %s", when, name, got, want[name])
		}
	}
}

func (l *life) mustRotate(id string, req admin.RotateRequest) admin.Issued {
	l.t.Helper()
	issued, err := l.Rotate(l.t.Context(), id, req)
	if err != nil {
		l.t.Fatalf("Rotate(%+v): %v", req, err)
	}
	return issued
}

func grace(d time.Duration) admin.RotateRequest { return admin.RotateRequest{Grace: &d} }

func numbers(k *keys.Key) (list []int64) {
	for _, s := range k.Secrets {
		list = append(list, s.Number)
	}
	return list
}

func wantConflict(t *testing.T, what string, err error, fix string) {
	t.Helper()
	if !errors.Is(err, keys.ErrConflict) || !strings.Contains(err.Error(), fix) {
		t.Errorf("%s: got %v, want a conflict that says %q", what, err, fix)
	}
}

func TestRotateKeepsAllButTheSecret(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci", Owner: "team-a", Scopes: []string{"tools:a"}, Audience: []string{"weather"}})
	l.now = l.now.Add(time.Hour)
	second := l.mustRotate(first.Key.ID, admin.RotateRequest{})
	was, is := first.Key, second.Key
	if is.ID != was.ID || is.Name != was.Name || is.Owner != was.Owner || is.Scopes[0] != "tools:a" || is.Audience[0] != "weather" ||
		!is.ExpiresAt.Equal(was.ExpiresAt) || !is.CreatedAt.Equal(was.CreatedAt) || is.Version != 2 {
		t.Errorf("Rotate: got %+v, want all but the secret as it was", is)
	}
	if token, err := keys.ParseToken(second.Token.Reveal()); err != nil || token.ID() != was.ID || token.Kind() != keys.KindKey {
		t.Errorf("the new token is not the key's: %v", err)
	}
	if n := numbers(is); len(n) != 2 || n[0] != 1 || n[1] != 2 || !is.Secrets[0].ExpiresAt.Equal(l.now.Add(admin.DefaultGrace)) ||
		!is.Secrets[1].ExpiresAt.IsZero() || !is.Secrets[1].CreatedAt.Equal(l.now) {
		t.Errorf("secrets: got %+v", is.Secrets)
	}
	log := events(t, l.store)
	row := log[len(log)-1]
	if len(log) != 2 || row.Action != audit.ActionRotate || !strings.Contains(row.Detail, `"secrets":[{"number":1,"expires_at":`) ||
		!strings.Contains(row.Detail, `"secrets":[{"number":1}]`) || keys.LooksLikeToken(row.Detail) || strings.Contains(row.Detail, second.Token.Reveal()[18:48]) {
		t.Errorf("audit: got %+v", row)
	}
}

// TestRotateOverlaps: both secrets are valid during the grace, to its last moment, and the old
// one is refused from its deadline on.
func TestRotateOverlaps(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	second := l.mustRotate(first.Key.ID, grace(time.Hour))
	both := map[string]keys.Secret{"old": first.Token, "new": second.Token}
	l.now = noon.Add(time.Hour - time.Microsecond)
	l.wantCodes("in the grace", both, map[string]keys.Code{"old": keys.CodeValid, "new": keys.CodeValid})
	l.now = noon.Add(time.Hour)
	l.wantCodes("after the grace", both, map[string]keys.Code{"old": keys.CodeExpired, "new": keys.CodeValid})

	third := l.mustRotate(first.Key.ID, grace(0))
	if n := numbers(third.Key); len(n) != 1 || n[0] != 3 {
		t.Errorf("Rotate without grace: got secrets %v, want 3 alone", n)
	}
	l.wantCodes("without grace", map[string]keys.Secret{"old": first.Token, "new": second.Token, "newest": third.Token},
		map[string]keys.Code{"old": keys.CodeNotFound, "new": keys.CodeNotFound, "newest": keys.CodeValid})
}

// TestRotateLengthensNoLife: the old secret never outlives its key, whatever the grace, and the
// key's expiry does not change.
func TestRotateLengthensNoLife(t *testing.T) {
	l := newLife(t)
	end := noon.Add(2 * time.Hour)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci", Expires: keys.ExpiresAt(end)})
	second := l.mustRotate(first.Key.ID, grace(1000*time.Hour))
	if got := second.Key.Secrets[0].ExpiresAt; !got.Equal(end) || !second.Key.ExpiresAt.Equal(end) {
		t.Errorf("Rotate: the old secret ends at %v, the key at %v; want both at %v", got, second.Key.ExpiresAt, end)
	}
	l.now = end
	l.wantCodes("after the key's end", map[string]keys.Secret{"old": first.Token, "new": second.Token},
		map[string]keys.Code{"old": keys.CodeExpired, "new": keys.CodeExpired})
}

// wantWaysOn expects the conflict with the numbers for finish and replace.
func wantWaysOn(t *testing.T, what string, err error, old, newest int64) {
	t.Helper()
	var conflict *admin.RotationError
	if !errors.As(err, &conflict) || !errors.Is(err, keys.ErrConflict) || conflict.Old != old || conflict.Newest != newest {
		t.Errorf("%s: got %v, want a RotationError with %d and %d", what, err, old, newest)
		return
	}
	if old != 0 && !strings.Contains(err.Error(), fmt.Sprintf("finish %d ", old)) {
		t.Errorf("%s: %q does not name finish %d", what, err, old)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("replace %d ", newest)) {
		t.Errorf("%s: %q does not name replace %d", what, err, newest)
	}
}

// TestB1RotateTwice: a key has at most two valid secrets, and a rotation never ends one that a
// client may hold without being asked to, whether the usage file shows a use or not: a use is
// recorded seconds later, or never.
func TestB1RotateTwice(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	id := first.Key.ID
	second := l.mustRotate(id, admin.RotateRequest{})
	both := map[string]keys.Secret{"old": first.Token, "new": second.Token}
	valid := map[string]keys.Code{"old": keys.CodeValid, "new": keys.CodeValid}
	version := second.Key.Version
	for what, req := range map[string]admin.RotateRequest{
		"Rotate in the grace":            {},
		"Rotate without grace":           grace(0),
		"Rotate with another expiry":     {Expires: expiry(t, "90d")},
		"Finish of the newest":           {Finish: 2},
		"Finish of one that never was":   {Finish: 3},
		"Replace of the old one":         {Replace: 1},
		"Replace of one that never was":  {Replace: 3},
		"Replace with a number too high": {Replace: 1 << 62},
	} {
		_, err := l.Rotate(t.Context(), id, req)
		wantWaysOn(t, what, err, 1, 2)
		l.wantCodes("after "+what, both, valid)
	}
	if k, err := l.Key(t.Context(), id); err != nil || k.Version != version {
		t.Errorf("the conflicts changed the key: version %d, %v; want %d", k.Version, err, version)
	}

	finished := l.mustRotate(id, admin.RotateRequest{Finish: 1})
	if !finished.Token.IsZero() || finished.Key.Version != 3 {
		t.Errorf("Finish: got %+v, want no new secret", finished)
	}
	l.wantCodes("after finish", both, map[string]keys.Code{"old": keys.CodeNotFound, "new": keys.CodeValid})
	if again := l.mustRotate(id, admin.RotateRequest{Finish: 1}); again.Key.Version != 3 {
		t.Errorf("Finish again: got version %d, want no change", again.Key.Version)
	}
	_, err := l.Rotate(t.Context(), id, admin.RotateRequest{Finish: 2})
	wantWaysOn(t, "Finish of the only secret", err, 0, 2)
	if third := l.mustRotate(id, admin.RotateRequest{}); numbers(third.Key)[0] != 2 || numbers(third.Key)[1] != 3 {
		t.Errorf("Rotate after finish: got secrets %v, want 2 and 3", numbers(third.Key))
	}

	l.now = l.now.Add(admin.DefaultGrace) // the old one has ended and need not be finished
	if fourth := l.mustRotate(id, admin.RotateRequest{}); numbers(fourth.Key)[0] != 3 || numbers(fourth.Key)[1] != 4 {
		t.Errorf("Rotate after the grace: got secrets %v, want 3 and 4", numbers(fourth.Key))
	}
	var actions []string
	for _, e := range events(t, l.store) {
		actions = append(actions, string(e.Action))
	}
	if got, want := strings.Join(actions, " "), "key.issue key.rotate key.finish key.rotate key.rotate"; got != want {
		t.Errorf("audit: got %s, want %s", got, want)
	}
}

// TestReplace: a new secret that was lost is replaced by another; the old one keeps its
// announced end. A key with one secret may have that one replaced.
func TestReplace(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	id := first.Key.ID
	lost := l.mustRotate(id, grace(time.Hour))
	l.now = noon.Add(time.Minute)
	second := l.mustRotate(id, admin.RotateRequest{Replace: 2})
	if n := numbers(second.Key); len(n) != 2 || n[0] != 1 || n[1] != 3 || !second.Key.Secrets[0].ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("Replace: got %+v, want secrets 1, to its first deadline, and 3", second.Key.Secrets)
	}
	all := map[string]keys.Secret{"old": first.Token, "lost": lost.Token, "new": second.Token}
	l.wantCodes("after replacing", all, map[string]keys.Code{"old": keys.CodeValid, "lost": keys.CodeNotFound, "new": keys.CodeValid})

	_, err := l.Rotate(t.Context(), id, admin.RotateRequest{Replace: 2}) // repeated by a client that got no answer
	wantWaysOn(t, "Replace again", err, 1, 3)
	l.wantCodes("after replacing again", all, map[string]keys.Code{"old": keys.CodeValid, "lost": keys.CodeNotFound, "new": keys.CodeValid})

	l.now = noon.Add(2 * time.Hour)
	third := l.mustRotate(id, admin.RotateRequest{Replace: 3})
	if n := numbers(third.Key); len(n) != 1 || n[0] != 4 {
		t.Errorf("Replace of the only secret: got %v, want 4 alone", n)
	}
}

// TestB4RotateRenews: a requested expiry applies from the rotation on, and the old secret's
// grace is within it.
func TestB4RotateRenews(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci", Expires: keys.ExpiresAt(noon.Add(time.Hour))})
	issued := l.mustRotate(first.Key.ID, admin.RotateRequest{Expires: expiry(t, "90d")})
	if k := issued.Key; !k.ExpiresAt.Equal(noon.Add(90*24*time.Hour)) || !k.Secrets[0].ExpiresAt.Equal(noon.Add(admin.DefaultGrace)) {
		t.Errorf("Rotate with an expiry: the key ends %v, the old secret %v", k.ExpiresAt, k.Secrets[0].ExpiresAt)
	}
	if issued.Key.Warnings(l.now)[0] == "" || strings.Contains(strings.Join(issued.Key.Warnings(l.now), " "), "the key expires") {
		t.Errorf("warnings of a renewed key: %q", issued.Key.Warnings(l.now))
	}
	l.now = noon.Add(80 * 24 * time.Hour)
	issued = l.mustRotate(first.Key.ID, admin.RotateRequest{})
	if got := strings.Join(issued.Key.Warnings(l.now), " "); !strings.Contains(got, "the key expires 2027-02-20T12:00:00Z") {
		t.Errorf("warnings of a key that was rotated and ends soon: %q", got)
	}
}

// TestB4RotationCron: a job that rotates a key every 30 days with a new expiry never fails, and
// the key of the round before works at every moment.
func TestB4RotationCron(t *testing.T) {
	l := newLife(t)
	first := mustIssue(t, l, admin.IssueRequest{Name: "ci"})
	have := first.Token
	for day := range 200 {
		l.now = noon.Add(time.Duration(day) * 24 * time.Hour)
		if code := l.admit(have); code != keys.CodeValid {
			t.Fatalf("day %d: %s", day, code)
		}
		if day%30 != 29 {
			continue
		}
		issued := l.mustRotate(first.Key.ID, admin.RotateRequest{Expires: expiry(t, "90d")})
		if code := l.admit(have); code != keys.CodeValid {
			t.Fatalf("day %d, within the grace: %s", day, code)
		}
		have = issued.Token
	}
}

// TestRotateRevivesNobody: some other systems make an expired key valid again when it is
// rotated. Here an expired key gets no new secret, and the error says what to do.
func TestRotateRevivesNobody(t *testing.T) {
	l := newLife(t)
	issue := func(name string) string {
		return mustIssue(t, l, admin.IssueRequest{Name: name, Expires: keys.ExpiresAt(noon.Add(time.Hour))}).Key.ID
	}
	revoked, disabled, expired := issue("revoked"), issue("disabled"), issue("expired")
	if _, err := l.Revoke(t.Context(), revoked, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Disable(t.Context(), disabled, ""); err != nil {
		t.Fatal(err)
	}
	before := len(events(t, l.store))
	_, err := l.Rotate(t.Context(), revoked, admin.RotateRequest{})
	wantConflict(t, "Rotate of a revoked key", err, "issue a new key")
	_, err = l.Rotate(t.Context(), disabled, admin.RotateRequest{})
	wantConflict(t, "Rotate of a disabled key", err, "enable it first")
	l.now = noon.Add(time.Hour)
	_, err = l.Rotate(t.Context(), expired, admin.RotateRequest{})
	wantConflict(t, "Rotate of an expired key", err, "issue a new key")
	if n := len(events(t, l.store)); n != before {
		t.Errorf("%d audit rows after refused rotations, want %d", n, before)
	}

	var invalid *keys.InvalidError
	if _, err := l.Rotate(t.Context(), expired, grace(-time.Second)); !errors.As(err, &invalid) {
		t.Errorf("Rotate with a negative grace: got %v, want an InvalidError", err)
	}
	for what, req := range map[string]admin.RotateRequest{
		"grace and finish":     {Grace: new(time.Hour), Finish: 1},
		"grace and replace":    {Grace: new(time.Hour), Replace: 1},
		"finish and replace":   {Finish: 1, Replace: 2},
		"finish and expires":   {Finish: 1, Expires: expiry(t, "90d")},
		"a negative number":    {Finish: -1},
		"another one":          {Replace: -1},
		"an expiry of nothing": {Expires: &keys.Expiry{}},
	} {
		if _, err := l.Rotate(t.Context(), expired, req); !errors.As(err, &invalid) {
			t.Errorf("Rotate with %s: got %v, want an InvalidError", what, err)
		}
	}
	if _, err := l.Rotate(t.Context(), "zzzzzzzzzzzz", admin.RotateRequest{}); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Rotate of an unknown key: got %v, want ErrNotFound", err)
	}
}
