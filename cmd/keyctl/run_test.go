package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// fullDisk fails every write.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// testEnv is an environment with its own key store.
func testEnv(t testing.TB) (e *env, stdout, stderr *bytes.Buffer) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "keys.db")
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	e = &env{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, now: time.Now,
		getenv: func(name string) string { return map[string]string{"KEYCTL_DB": db}[name] },
	}
	mustRun(t, e, "init")
	return e, stdout, stderr
}

func mustRun(t testing.TB, e *env, args ...string) {
	t.Helper()
	if got := run(t.Context(), args, e); got != 0 {
		t.Fatalf("keyctl %v: got exit code %d, want 0: %v", args, got, e.stderr)
	}
}

// If a secret cannot be printed, the error names the key that was issued.
func TestIssueIntoFullDisk(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	e.stdout = fullDisk{}
	if got := run(t.Context(), []string{"issue", "ci"}, e); got != exitStore {
		t.Errorf("issue: got exit code %d, want %d", got, exitStore)
	}
	id := regexp.MustCompile(`key ([0-9A-Za-z]{12}) was issued, but its secret could not be handed over; revoke it`).FindStringSubmatch(stderr.String())
	if id == nil {
		t.Fatalf("issue: the key that is left over is not named:\n%s", stderr)
	}
	if keys.HoldsToken(stderr.String()) {
		t.Error("issue: the secret went to standard error")
	}
	e.stdout = stdout
	mustRun(t, e, "revoke", id[1], "--yes")
}

// A command that waits for standard input ends with its context.
func TestVerifyEndsWithTheProgram(t *testing.T) {
	e, _, stderr := testEnv(t)
	silent := make(chan struct{})
	defer close(silent)
	e.stdin = waitingReader{silent}
	if got := run(cancelled(t), []string{"verify", "-"}, e); got != exitInterrupted {
		t.Errorf("verify: got exit code %d, want %d", got, exitInterrupted)
	}
	if got, want := stderr.String(), "keyctl: interrupted\n"; got != want {
		t.Errorf("verify: got %q, want %q", got, want)
	}
}

// A status follows the clock of the environment.
func TestStatusFollowsTheClock(t *testing.T) {
	e, stdout, _ := testEnv(t)
	mustRun(t, e, "issue", "ci", "--expires", "30d")
	for days, want := range map[int]keys.Status{0: keys.StatusActive, 20: keys.StatusExpiring, 31: keys.StatusExpired} {
		e.now = func() time.Time { return time.Now().AddDate(0, 0, days) }
		stdout.Reset()
		mustRun(t, e, "show", "ci")
		if !strings.Contains(stdout.String(), string(want)) {
			t.Errorf("show in %d days: no %s in\n%s", days, want, stdout)
		}
	}
}

// lostStore answers a revocation like a store whose files were removed during it.
type lostStore struct{ admin.Manager }

func (s lostStore) Revoke(context.Context, string, string) (*keys.Key, error) {
	return nil, &store.MayBeLostError{Cause: errors.New("keys.db-wal was removed while it was in use")}
}

// A change that may be lost has its own exit code, because a script must look whether it was
// made.
func TestRevokeThatMayBeLost(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	mustRun(t, e, "issue", "ci")
	stdout.Reset()
	a := &app{env: e, output: formatTable}
	err := a.withAdmin(t.Context(), func(m *connect.Admin) error {
		return a.revoke(t.Context(), lostStore{m}, []string{"ci"}, &revokeFlags{yes: true})
	})
	if got := a.report(err, false); got != exitMayBeLost {
		t.Errorf("revoke: got exit code %d, want %d", got, exitMayBeLost)
	}
	if want := "check whether it took effect, and repeat it if not"; stdout.Len() > 0 || !strings.Contains(stderr.String(), want) || strings.Contains(stderr.String(), "durable") {
		t.Errorf("revoke: got %q and %q, want nothing and %q", stdout, stderr, want)
	}
	err = a.reportImport(importing.Report{Rows: 3, Imported: 3}, &importFlags{}, err)
	if outcomeOf(err).exit != exitMayBeLost || !strings.Contains(err.Error(), "3 of 3 keys may have been imported") {
		t.Errorf("import: got %v", err)
	}
}

// deafStore answers a revocation with the key as it was.
type deafStore struct{ admin.Manager }

func (s deafStore) Revoke(ctx context.Context, id, _ string) (*keys.Key, error) {
	return s.Key(ctx, id)
}

// revoke says revoked only of a key that is revoked, even if the store reports no error.
func TestRevokeBelievesTheKeyAlone(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	mustRun(t, e, "issue", "ci")
	stdout.Reset()
	a := &app{env: e, output: formatTable}
	err := a.withAdmin(t.Context(), func(m *connect.Admin) error {
		return a.revoke(t.Context(), deafStore{m}, []string{"ci"}, &revokeFlags{yes: true})
	})
	if got := a.report(err, false); got != exitStore {
		t.Errorf("revoke: got exit code %d, want %d", got, exitStore)
	}
	if want := "was not revoked"; stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
		t.Errorf("revoke: got %q and %q, want nothing and %q", stdout, stderr, want)
	}
}

// The card must not say that a secret went where it did not.
func TestCardAfterLostSecret(t *testing.T) {
	e, _, stderr := testEnv(t)
	e.stdout = fullDisk{}
	_ = run(t.Context(), []string{"issue", "ci"}, e)
	if strings.Contains(stderr.String(), "went to standard output") {
		t.Errorf("issue: says that the secret went out:\n%s", stderr)
	}
}

// A hint can be typed as it is, also for a name that looks like a flag.
func TestHintsForNamesLikeFlags(t *testing.T) {
	e, stdout, stderr := testEnv(t)
	mustRun(t, e, "issue", "--", "-x")
	for _, verb := range []string{"show", "revoke"} {
		if want := "keyctl " + verb + " -- -x\n"; !strings.Contains(stderr.String(), want) {
			t.Errorf("issue: no %q in\n%s", want, stderr)
		}
	}
	stdout.Reset()
	mustRun(t, e, "show", "--", "-x")
	mustRun(t, e, "revoke", "--yes", "--", "-x")
}
