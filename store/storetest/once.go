package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// once is a change's context with a word.
func (f *fixture) once(word, body string) context.Context {
	return store.WithOnce(f.t.Context(), &store.Once{
		Caller: "key:caller", Route: "route", Word: word, Body: []byte(body), At: f.now,
		Answer: func(k *keys.Key) (string, error) { return `{"version":` + string(rune('0'+k.Version)) + `}`, nil },
	})
}

// wantReplayed wants the error of a change that was made before.
func wantReplayed(t *testing.T, what string, err error, id string, secret int64, answer string) {
	t.Helper()
	var before *store.ReplayedError
	if !errors.As(err, &before) || before.KeyID != id || before.Secret != secret || before.Answer != answer {
		t.Errorf("%s: got %v (%+v), want a ReplayedError of %s, secret %d, answer %q", what, err, before, id, secret, answer)
	}
	if conflict := errors.Is(err, keys.ErrConflict); conflict != (secret != 0) {
		t.Errorf("%s: an ErrConflict: %v", what, conflict)
	}
}

// B2: a key is made once, its secret is handed out once, and a revocation is one.
func wordIsOneChange(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	issued, err := m.Issue(f.once("a", "x"), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	other := f.manager(f.another())
	before := f.state()
	_, err = other.Issue(f.once("a", "x"), admin.IssueRequest{Name: "ci"})
	wantReplayed(t, "Issue again", err, id, 1, "")
	f.wantSame("a repeated issue", before)
	var invalid *keys.InvalidError
	if _, err := other.Issue(f.once("a", "y"), admin.IssueRequest{Name: "cj"}); !errors.As(err, &invalid) || invalid.Field != "Idempotency-Key" {
		t.Errorf("Issue of another with the word: got %v", err)
	}
	f.wantSame("another request with the word", before)

	if _, err := m.Rotate(f.once("b", "x"), id, admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	before = f.state()
	_, err = other.Rotate(f.once("b", "x"), id, admin.RotateRequest{})
	wantReplayed(t, "Rotate again", err, id, 2, "")
	f.wantSame("a repeated rotation", before)
	if _, err := m.Rotate(f.once("c", "x"), id, admin.RotateRequest{Finish: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = other.Rotate(f.once("c", "x"), id, admin.RotateRequest{Finish: 1})
	wantReplayed(t, "Finish again", err, id, 0, `{"version":3}`)
	if _, err := m.Revoke(f.once("d", "x"), id, "leaked"); err != nil {
		t.Fatal(err)
	}
	before = f.state()
	epoch := f.store.Epoch()
	_, err = other.Revoke(f.once("d", "x"), id, "leaked")
	wantReplayed(t, "Revoke again", err, id, 0, `{"version":4}`)
	f.wantSame("a repeated revocation", before)
	if f.store.Epoch() == epoch {
		t.Error("a repeated revocation was not announced: the process that revoked may have died before it did that")
	}
}

func wordOfNoChange(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	k := f.create("ci", nil)
	if _, err := m.Enable(f.once("a", ""), k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Disable(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, err := m.Enable(f.once("a", ""), k.ID)
	wantReplayed(t, "Enable again, after a disable", err, k.ID, 0, `{"version":1}`)
	if f.key(f.store, k.ID).DisabledAt.IsZero() {
		t.Error("a repeated enable undid what came after the first")
	}
}

// A request that takes something away is carried out again if its effect was undone, because
// the answer says that it is in effect.
func wordTakesAwayAgain(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	k := f.create("ci", nil)
	for range 2 {
		if _, err := m.Disable(f.once("a", ""), k.ID, ""); err != nil {
			t.Fatalf("Disable: %v", err)
		}
		if f.key(f.store, k.ID).DisabledAt.IsZero() {
			t.Fatal("Disable: the key is not disabled")
		}
		_, err := m.Disable(f.once("a", ""), k.ID, "")
		wantReplayed(t, "Disable of a key that is disabled", err, k.ID, 0, `{"version":`+string(rune('0'+f.key(f.store, k.ID).Version))+`}`)
		if _, err := m.Enable(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Advice about a secret that is no longer valid would be useless.
func wordOfWhatIsGone(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	issued, err := m.Issue(f.once("a", ""), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), issued.Key.ID, admin.RotateRequest{Replace: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = m.Issue(f.once("a", ""), admin.IssueRequest{Name: "ci"})
	wantReplayed(t, "Issue again, after a rotation", err, issued.Key.ID, 1, "")
	if err == nil || !strings.Contains(err.Error(), "no longer valid") {
		t.Errorf("Issue again, after a rotation: got %v, want what became of the secret", err)
	}
}

func wordOfFailureIsFree(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	f.create("ci", nil)
	if _, err := m.Issue(f.once("a", ""), admin.IssueRequest{Name: "ci"}); !errors.Is(err, keys.ErrNameTaken) {
		t.Fatalf("Issue of a taken name: %v", err)
	}
	if _, err := m.Issue(f.once("a", ""), admin.IssueRequest{Name: "cj"}); err != nil {
		t.Errorf("Issue with the word of what failed: %v", err)
	}
	if _, err := m.Revoke(f.once("b", ""), "zzzzzzzzzzzz", ""); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Revoke of an unknown key: %v", err)
	}
}

func wordsAreApart(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	for i, o := range []store.Once{
		{Caller: "a", Route: "r", Word: "w"},
		{Caller: "b", Route: "r", Word: "w"},
		{Caller: "a", Route: "s", Word: "w"},
		{Caller: "a", Route: "r", Word: "W"},
	} {
		o.At = f.now
		if _, err := m.Issue(store.WithOnce(t.Context(), &o), admin.IssueRequest{Name: string(rune('a' + i))}); err != nil {
			t.Errorf("Issue %d: %v", i, err)
		}
	}
}

func wordIsForgotten(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	first, err := m.Issue(f.once("a", ""), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(store.OnceKept - time.Microsecond)
	_, err = m.Issue(f.once("a", ""), admin.IssueRequest{Name: "ci"})
	wantReplayed(t, "within the day", err, first.Key.ID, 1, "")
	f.now = f.now.Add(time.Microsecond)
	if _, err := m.Issue(f.once("a", ""), admin.IssueRequest{Name: "cj"}); err != nil {
		t.Errorf("after a day: %v", err)
	}
}

func wordServesOne(t *testing.T, f *fixture) {
	stores := []store.Store{f.store, f.another()}
	first, err := f.manager(f.store).Issue(t.Context(), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		m, ctx := f.manager(stores[i%2]), f.once("a", "x")
		wg.Go(func() { _, errs[i] = m.Rotate(ctx, first.Key.ID, admin.RotateRequest{}) })
	}
	wg.Wait()
	served := 0
	for _, err := range errs {
		if err == nil {
			served++
			continue
		}
		wantReplayed(t, "one of many", err, first.Key.ID, 2, "")
	}
	if k := f.key(f.store, first.Key.ID); served != 1 || k.Version != 2 {
		t.Errorf("%d were served, and the key is at version %d; want 1 and 2", served, k.Version)
	}
}

func wordSurvivesRestart(t *testing.T, f *fixture) {
	first, err := f.manager(f.store).Issue(f.once("a", "x"), admin.IssueRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.store = f.another()
	_, err = f.manager(f.store).Issue(f.once("a", "x"), admin.IssueRequest{Name: "ci"})
	wantReplayed(t, "after a restart", err, first.Key.ID, 1, "")
}
