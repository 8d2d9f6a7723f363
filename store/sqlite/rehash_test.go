package sqlite_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// proved is a key that was issued under the pepper before, and the re-hash that a proof
// of its token gives rise to.
func proved(t testing.TB, s *sqlite.Store, name string) (admin.Issued, func() *pepper.Rehash) {
	t.Helper()
	issued := issue(t, s, admin.IssueRequest{Name: name, Scopes: []string{"tools:a", "tools:b"}})
	return issued, func() *pepper.Rehash {
		k, err := s.Key(t.Context(), issued.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		secret := s.Peppers().Verify(k, issued.Token)
		if secret == nil {
			t.Fatalf("%s: the token does not prove it", name)
		}
		job := s.Peppers().Rehash(k, secret, issued.Token)
		if job == nil {
			t.Fatalf("%s: nothing to re-hash", name)
		}
		return job
	}
}

func rehash(t testing.TB, r pepper.Rehasher, job *pepper.Rehash) {
	t.Helper()
	if err := r.Rehash(t.Context(), job, time.Now()); err != nil {
		t.Errorf("Rehash: %v", err)
	}
}

// Between a proof and its re-hash the key was revoked, edited, rotated, or spoilt. What
// was done to it stands, whatever the re-hash then does.
func TestRehashIsCompareAndSwap(t *testing.T) {
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	zero, day := time.Duration(0), 24*time.Hour
	type given struct {
		issued admin.Issued
		job    func() *pepper.Rehash
	}
	all := map[string]given{}
	for _, name := range []string{"untouched", "revoked", "disabled", "edited", "rotated", "cut over", "tampered", "twice"} {
		issued, job := proved(t, s, name)
		all[name] = given{issued, job}
	}
	one := addPepper(t, s)
	id := func(name string) string { return all[name].issued.Key.ID }
	jobs := map[string]*pepper.Rehash{}
	for name, g := range all {
		jobs[name] = g.job()
	}
	later := all["twice"].job()
	_, err1 := m.Revoke(t.Context(), id("revoked"), "lost")
	_, err2 := m.Disable(t.Context(), id("disabled"), "")
	_, err3 := m.Edit(t.Context(), id("edited"), admin.EditRequest{Scopes: &[]string{"tools:a"}})
	rotated, err4 := m.Rotate(t.Context(), id("rotated"), admin.RotateRequest{Grace: &day})
	_, err5 := m.Rotate(t.Context(), id("cut over"), admin.RotateRequest{Grace: &zero})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	mustExec(t, shell(t, path), `UPDATE keys SET scopes = '["*"]' WHERE name = 'tampered'`)
	before := map[string]*keys.Key{}
	for name := range all {
		before[name], _ = s.Key(t.Context(), id(name))
	}
	for _, job := range jobs {
		rehash(t, s, job)
	}
	rehash(t, s, later)
	for name := range all {
		was := before[name]
		k, err := s.Key(t.Context(), id(name))
		if err != nil {
			t.Fatal(err)
		}
		moved := k.Secrets[0].PepperID == one && was.Secrets[0].PepperID != one
		if want := name != "revoked" && name != "cut over" && name != "tampered"; moved != want {
			t.Errorf("%s: renewed: got %v, want %v", name, moved, want)
		}
		if k.Version != was.Version || k.Status(time.Now()) != was.Status(time.Now()) || fmt.Sprint(k.Scopes) != fmt.Sprint(was.Scopes) || len(k.Secrets) != len(was.Secrets) ||
			!k.Secrets[0].ExpiresAt.Equal(was.Secrets[0].ExpiresAt) || !k.Secrets[0].CreatedAt.Equal(was.Secrets[0].CreatedAt) {
			t.Errorf("%s: got %+v, want but for the digest %+v", name, k, was)
		}
		if sealed := s.Peppers().CheckSeal(k) == nil; sealed != (name != "tampered") {
			t.Errorf("%s: sealed: got %v", name, sealed)
		}
		if moved {
			wantGood(t, s, name, all[name].issued)
		}
	}
	if rows := rehashRows(t, s); rows != 5 {
		t.Errorf("audit: got %d rows of a re-hash, want 5: a second one of the same secret writes nothing", rows)
	}
	wantGood(t, s, "the new secret of rotated", rotated)
	if _, err := audit.VerifyChain(chain(t, s)); err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
}

func rehashRows(t *testing.T, s store.Reader) (n int) {
	for e, err := range chain(t, s) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Action == audit.ActionRehash {
			n++
		}
	}
	return n
}

// A17. The attack, or bad luck: a key is revoked, or narrowed, in the moment in which
// its digest is renewed, in another process. It stays revoked, and narrow.
func TestA17RehashRacesWithRevoke(t *testing.T) {
	path := create(t)
	s, guard := open(t, path), forChecks(t, path)
	m := manager(t, s)
	const n = 30
	var issued [n]admin.Issued
	var job [n]func() *pepper.Rehash
	for i := range n {
		issued[i], job[i] = proved(t, s, fmt.Sprint("key ", i))
	}
	addPepper(t, s)
	for i := range n {
		id, renew := issued[i].Key.ID, job[i]()
		var wg sync.WaitGroup
		wg.Go(func() { rehash(t, guard, renew) })
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = m.Revoke(t.Context(), id, "lost")
			} else {
				_, err = m.Edit(t.Context(), id, admin.EditRequest{Scopes: &[]string{"tools:a"}})
			}
			if err != nil {
				t.Errorf("key %d: %v", i, err)
			}
		})
		wg.Wait()
		k, err := m.Key(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 && k.RevokedAt.IsZero() {
			t.Errorf("key %d: not revoked any more", i)
		}
		if i%2 == 1 && len(k.Scopes) != 1 {
			t.Errorf("key %d: scopes %q, want the edited ones", i, k.Scopes)
		}
	}
}

// A handle for checks opens for writing when there is something to renew, not before,
// and lets go of it when it is closed.
func TestVerifierWritesOnlyToRehash(t *testing.T) {
	path := create(t)
	s := open(t, path)
	issued, job := proved(t, s, "ci")
	pepper := addPepper(t, s)
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Connections().Exec(`UPDATE keys SET name = 'x'`); err == nil {
		t.Error("a handle for checks could write")
	}
	if r.Renewing() {
		t.Error("a handle for checks is open for writing before there is anything to renew")
	}
	rehash(t, r, job())
	if k, err := r.Key(t.Context(), issued.Key.ID); err != nil || k.Secrets[0].PepperID != pepper {
		t.Errorf("Key: got %v, %v, want it kept with %s", k, err, pepper)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := r.Rehash(t.Context(), nil, time.Now()); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Rehash after Close: got %v, want ErrUnavailable", err)
	}
}
