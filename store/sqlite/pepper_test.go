package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func forChecks(t testing.TB, path string) *sqlite.Reader {
	t.Helper()
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatalf("OpenVerifier: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func addPepper(t testing.TB, s store.Store) string {
	t.Helper()
	id, err := manager(t, s).AddPepper(t.Context())
	if err != nil {
		t.Fatalf("AddPepper: %v", err)
	}
	return id
}

// wantGood fails unless the key is sealed and the token proves it.
func wantGood(t testing.TB, r store.Reader, what string, issued admin.Issued) {
	t.Helper()
	k, err := r.Key(t.Context(), issued.Key.ID)
	if err != nil {
		t.Errorf("%s: Key: %v", what, err)
		return
	}
	if err := r.Peppers().CheckSeal(k); err != nil {
		t.Errorf("%s: CheckSeal: %v", what, err)
	}
	if r.Peppers().Verify(k, issued.Token) == nil {
		t.Errorf("%s: the token is not the key's", what)
	}
}

// actions are the audit rows about the store itself, as "actor action detail".
func pepperRows(t *testing.T, r store.Reader) []string {
	t.Helper()
	var rows []string
	for e, err := range chain(t, r) {
		if err != nil {
			t.Fatalf("Events: %v", err)
		}
		if e.KeyID == "" {
			rows = append(rows, e.Actor+" "+string(e.Action)+" "+e.Detail)
		}
	}
	return rows
}

// A pepper is added while three handles are open: one that writes, one that only
// checks, and the one that adds. None is opened again, and none refuses a valid key.
func TestAddedPepperIsFollowed(t *testing.T) {
	path := create(t)
	adds, writes, checks := open(t, path), open(t, path), forChecks(t, path)
	before := issue(t, adds, admin.IssueRequest{Name: "before"})
	position := mustChanges(t, checks, feed.Position{}).Next

	id := addPepper(t, adds)
	after := issue(t, adds, admin.IssueRequest{Name: "after"})
	if got := after.Key.Seal.PepperID; got != id || after.Key.Secrets[0].PepperID != id {
		t.Errorf("after AddPepper a key is sealed with %s, want %s", got, id)
	}
	for name, r := range map[string]store.Reader{"adds": adds, "writes": writes, "checks": checks} {
		wantGood(t, r, name, before)
		wantGood(t, r, name, after)
	}
	// All that a verifier remembers is proved again, and so gets a new digest.
	if c := mustChanges(t, checks, position); !c.Lost {
		t.Errorf("Changes after AddPepper: got %+v, want Lost", c)
	}
	if got := issue(t, writes, admin.IssueRequest{Name: "other handle"}).Key.Seal.PepperID; got != id {
		t.Errorf("another handle seals with %s, want %s", got, id)
	}
	want := fmt.Sprintf(`test pepper.add {"pepper":%q}`, id)
	if got := pepperRows(t, adds); len(got) != 1 || got[0] != want {
		t.Errorf("audit: got %q, want %q", got, want)
	}
	wantGood(t, forChecks(t, path), "opened afterwards", before)
}

// A handle that has not looked since the pepper was added changes a key that was sealed
// with it. It must not report the key as tampered with, also not in the audit log.
func TestChangeUnderAnotherPepper(t *testing.T) {
	path := create(t)
	stale, other := open(t, path), open(t, path)
	addPepper(t, other)
	edited, revoked := issue(t, other, admin.IssueRequest{Name: "edited"}), issue(t, other, admin.IssueRequest{Name: "revoked"})
	m := manager(t, stale)
	if _, err := m.Disable(t.Context(), edited.Key.ID, ""); err != nil {
		t.Errorf("Disable: %v", err)
	}
	if _, err := m.Revoke(t.Context(), revoked.Key.ID, "lost"); err != nil {
		t.Errorf("Revoke: %v", err)
	}
	for e, err := range chain(t, other) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Detail, "tampered") {
			t.Errorf("audit row %d tells of tampering: %s", e.Seq, e.Detail)
		}
	}
}

// As above, but the pepper is added, and the key sealed with it, while the change waits
// for its turn to write.
func TestChangeWaitsForAnotherPepper(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	k, err := s.Key(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	db := shell(t, path)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	changed := make(chan error, 1)
	go func() {
		_, err := manager(t, s).Disable(t.Context(), id, "")
		changed <- err
	}()
	for !s.Busy() {
		runtime.Gosched()
	}
	added, err := pepperfile.Replace(path+".pepper", func(p *pepper.Set) (*pepper.Set, error) {
		more, _, err := p.Add()
		return more, err
	})
	if err != nil {
		t.Fatal(err)
	}
	added.Seal(k)
	check := added.Checks()[added.Current()]
	mustExec(t, db, `INSERT INTO meta (name, value) VALUES (?, ?)`, "pepper/"+added.Current(), check[:])
	mustExec(t, db, `UPDATE keys SET seal_pepper = ?, seal = ?`, k.Seal.PepperID, k.Seal.MAC)
	mustExec(t, db, `COMMIT`)
	if err := <-changed; err != nil {
		t.Errorf("Disable: %v", err)
	}
}

func retire(t testing.TB, s store.Store, id string) {
	t.Helper()
	if _, err := manager(t, s).RetirePepper(t.Context(), id); err != nil {
		t.Fatalf("RetirePepper: %v", err)
	}
}

// Revoked keys stay readable when their pepper was removed: they are revoked, not tampered
// with.
func TestRetiredPepperIsGone(t *testing.T) {
	path := create(t)
	s, other := open(t, path), forChecks(t, path)
	old := s.Peppers().Current()
	m := manager(t, s)
	dead := issue(t, s, admin.IssueRequest{Name: "dead"})
	if _, err := m.Revoke(t.Context(), dead.Key.ID, "lost"); err != nil {
		t.Fatal(err)
	}
	id := addPepper(t, s)
	live := issue(t, s, admin.IssueRequest{Name: "live"})
	retire(t, s, old)

	for name, r := range map[string]store.Reader{"the same handle": s, "another": other, "a new one": forChecks(t, path)} {
		wantGood(t, r, name, live)
		k, err := r.Key(t.Context(), dead.Key.ID)
		if err != nil || k.Status(time.Now()) != keys.StatusRevoked || r.Peppers().CheckSeal(k) != nil {
			t.Errorf("%s: the dead key: got %v, %v, want revoked and sealed", name, k, err)
		}
		if r.Peppers().Verify(k, dead.Token) != nil {
			t.Errorf("%s: a removed pepper still verifies", name)
		}
	}
	file, err := pepperfile.Load(path + ".pepper")
	if err != nil || len(file.IDs()) != 1 || file.Current() != id {
		t.Errorf("file: got %q, %v, want %s alone", file.IDs(), err, id)
	}
	rows := strings.Join(pepperRows(t, s), "\n")
	for _, want := range []string{
		`test pepper.reseal {"from":"` + old + `","to":"` + id + `","keys":1,"first":"` + dead.Key.ID + `","last":"` + dead.Key.ID + `"}`,
		`test pepper.retire {"pepper":"` + old + `"}`,
	} {
		if !strings.Contains(rows, want) {
			t.Errorf("audit: got %s, want in it %s", rows, want)
		}
	}
	if _, err := m.RetirePepper(t.Context(), old); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("RetirePepper again: got %v, want ErrNotFound", err)
	}
	if _, err := m.RetirePepper(t.Context(), id); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("RetirePepper(current): got %v, want ErrConflict", err)
	}
}

// A pepper is not retired while a key needs it: a live one, a disabled one, one whose
// old secret is in its grace.
func TestNeededPepperStays(t *testing.T) {
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	old := s.Peppers().Current()
	live, disabled, rotated, gone := issue(t, s, admin.IssueRequest{Name: "live"}), issue(t, s, admin.IssueRequest{Name: "disabled"}),
		issue(t, s, admin.IssueRequest{Name: "rotated"}), issue(t, s, admin.IssueRequest{Name: "gone"})
	if _, err := m.Disable(t.Context(), disabled.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Revoke(t.Context(), gone.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	addPepper(t, s)
	if _, err := m.Rotate(t.Context(), rotated.Key.ID, admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	for left := 3; left > 0; left-- {
		_, err := m.RetirePepper(t.Context(), old)
		var needed *store.PepperNeededError
		if !errors.As(err, &needed) || needed.Count != left || !errors.Is(err, keys.ErrConflict) {
			t.Fatalf("RetirePepper: got %v, want that %d keys need it", err, left)
		}
		// The library's own way, past the manager's first look.
		err = s.RemovePepper(t.Context(), old, time.Now(), pepperEvent(t))
		if !errors.As(err, &needed) || needed.Count != left {
			t.Fatalf("RemovePepper: got %v, want that %d keys need it", err, left)
		}
		k, err := m.FreePepper(t.Context(), needed.Keys[0], old, "pepper retired")
		if err != nil {
			t.Fatalf("FreePepper(%s): %v", needed.Keys[0].Name, err)
		}
		if finished := k.ID == rotated.Key.ID; finished != k.RevokedAt.IsZero() {
			t.Errorf("FreePepper(%s): got status %s", k.Name, k.Status(time.Now()))
		}
	}
	uses, err := m.PepperUses(t.Context())
	if err != nil || len(uses) != 2 || uses[0].LiveKeys != 0 || uses[0].DeadKeys != 3 || uses[1].LiveKeys != 1 {
		t.Errorf("PepperUses: got %+v, %v", uses, err)
	}
	retire(t, s, old)
	wantGood(t, s, "the live key's row", admin.Issued{Key: rotated.Key, Token: mustRotate(t, m, rotated.Key.ID)})
	_ = live
}

func mustRotate(t testing.TB, m admin.Manager, id string) keys.Secret {
	t.Helper()
	grace := time.Duration(0)
	issued, err := m.Rotate(t.Context(), id, admin.RotateRequest{Grace: &grace})
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	return issued.Token
}

func pepperEvent(t testing.TB) audit.Event {
	t.Helper()
	e, err := audit.NewEvent(t.Context(), "test", audit.ActionPepperRetire, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The attack: before a pepper is retired, a database shell gives a key more scopes. Its seal
// is broken, and renewing the seals of all keys must not repair it.
func TestA27ResealMendsNoBrokenSeal(t *testing.T) {
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	old := s.Peppers().Current()
	forged := issue(t, s, admin.IssueRequest{Name: "forged"})
	if _, err := m.Revoke(t.Context(), forged.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	mustExec(t, shell(t, path), `UPDATE keys SET scopes = '["*"]'`)
	addPepper(t, s)
	retire(t, s, old)
	if k, err := m.Key(t.Context(), forged.Key.ID); !errors.Is(err, keys.ErrTampered) {
		t.Errorf("Key: got %v, %v, want ErrTampered", k.Scopes, err)
	}
}

// Many batches, with keys among them that must not be sealed again.
func TestResealGoesThroughAll(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	old := s.Peppers().Current()
	const n = 450
	for i := range n {
		issued := issue(t, s, admin.IssueRequest{Name: fmt.Sprint("k", i)})
		if _, err := m.Revoke(t.Context(), issued.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	broken := s.Path()
	mustExec(t, shell(t, broken), `UPDATE keys SET scopes = '["*"]' WHERE name = 'k7'`)
	addPepper(t, s)
	if got, err := m.RetirePepper(t.Context(), old); err != nil || got != n-1 {
		t.Errorf("RetirePepper: got %d, %v, want %d resealed", got, err, n-1)
	}
	if _, err := audit.VerifyChain(chain(t, s)); err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
	page, err := m.List(t.Context(), keys.Query{Name: "k7"})
	if err != nil || len(page.Tampered) != 1 {
		t.Errorf("List: got %+v, %v, want k7 tampered with", page.Tampered, err)
	}
}

// A writer made its key with a pepper that is retired before the key is written. Were
// it written, it could not be verified after the pepper is removed from the file.
func TestNothingIsWrittenUnderARetiredPepper(t *testing.T) {
	path := create(t)
	s, other := open(t, path), open(t, path)
	stale := s.Peppers()
	token := keys.NewToken(keys.KindKey)
	digest, id := stale.Digest(token.Secret())
	k := &keys.Key{
		ID: token.ID(), Kind: keys.KindKey, Name: "late", CreatedAt: time.Now().UTC().Truncate(time.Microsecond), CreatedBy: "test", Version: 1,
		Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:], CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}},
	}
	e := pepperEvent(t)
	e.KeyID = k.ID
	addPepper(t, other)
	retire(t, other, stale.Current())

	stale.Seal(k)
	if err := s.Create(t.Context(), k, e); !errors.Is(err, keys.ErrPepperRetired) {
		t.Errorf("Create of a key sealed with the retired pepper: got %v, want ErrPepperRetired", err)
	}
	s.Peppers().Seal(k)
	if err := s.Create(t.Context(), k, e); !errors.Is(err, keys.ErrPepperRetired) {
		t.Errorf("Create of a secret made with the retired pepper: got %v, want ErrPepperRetired", err)
	}
	issue(t, s, admin.IssueRequest{Name: "late"})
}

// A22. The attack: the id of a pepper that does not exist is written into a row, so that each
// request for that key reads the pepper file.
func TestA22PlantedPepperIDReadsNoFile(t *testing.T) {
	path := create(t)
	s := open(t, path)
	k := issue(t, s, admin.IssueRequest{Name: "planted"}).Key
	mustExec(t, shell(t, path), `UPDATE keys SET seal_pepper = 'nobody'`)
	// A process that reads the file now finds that it does not match.
	info, err := os.Stat(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	alterPepper(t, path+".pepper")
	if err := os.Chtimes(path+".pepper", time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Key(t.Context(), k.ID); err != nil {
			t.Fatalf("Key: %v", err)
		}
	}
	if s.Misfit() {
		t.Error("a planted pepper id had the pepper file read")
	}
	if err := os.Chtimes(path+".pepper", time.Time{}, info.ModTime().Add(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(t.Context(), k.ID); err != nil || !s.Misfit() {
		t.Errorf("Key: got %v, and the replaced file was not read", err)
	}
}

// An old or foreign pepper file replaces the one in use. A process that has the store open
// continues; opening it fails with the reason and the fix.
func TestWrongPepperFileWhileOpen(t *testing.T) {
	path := create(t)
	s := open(t, path)
	old, err := os.ReadFile(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	id := addPepper(t, s)
	good := issue(t, s, admin.IssueRequest{Name: "good"})
	text, err := os.ReadFile(path + ".pepper")
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]string{"an old backup": string(old), "rubbish": "rubbish\n", "none": ""} {
		remove(t, path+".pepper")
		if wrong != "" {
			write(t, path+".pepper", wrong)
		}
		wantGood(t, s, name, good)
		if got := issue(t, s, admin.IssueRequest{Name: name}).Key.Seal.PepperID; got != id {
			t.Errorf("%s: sealed with %s, want %s", name, got, id)
		}
		if _, err := manager(t, s).AddPepper(t.Context()); err == nil {
			t.Errorf("%s: AddPepper built upon it", name)
		}
		_, err := sqlite.Open(path, nil)
		if err == nil || !strings.Contains(err.Error(), "restore") {
			t.Errorf("%s: Open: got %v, want the fix", name, err)
		}
		if name == "an old backup" && (!strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "after 'keyctl pepper add'")) {
			t.Errorf("%s: Open: got %v, want the missing pepper and the fix", name, err)
		}
		write(t, path+".pepper", string(text))
	}
	addPepper(t, s)
}

func TestPepperUses(t *testing.T) {
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	old := s.Peppers().Current()
	issue(t, s, admin.IssueRequest{Name: "live"})
	gone := issue(t, s, admin.IssueRequest{Name: "gone"})
	if _, err := m.Revoke(t.Context(), gone.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	rotated := issue(t, s, admin.IssueRequest{Name: "rotated"})
	id := addPepper(t, s)
	if _, err := m.Rotate(t.Context(), rotated.Key.ID, admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, shell(t, path), `UPDATE secrets SET pepper_id = 'nobody' WHERE key_id = (SELECT id FROM keys WHERE name = 'gone')`)
	force(t, path, `INSERT INTO meta (name, value) VALUES ('pepper_since/odd', 'text')`)
	uses, err := m.PepperUses(t.Context())
	if err != nil {
		t.Fatalf("PepperUses: %v", err)
	}
	for i := range uses {
		if missing := uses[i].State == store.PepperMissing; missing != uses[i].Since.IsZero() {
			t.Errorf("pepper %s: since %v", uses[i].ID, uses[i].Since)
		}
		uses[i].Since = time.Time{}
	}
	want := []store.PepperUse{
		{ID: old, State: store.PepperOld, Noted: true, LiveKeys: 2, Secrets: 2, Seals: 2},
		{ID: id, State: store.PepperCurrent, Noted: true, LiveKeys: 1, Secrets: 1, Seals: 1},
		{ID: "nobody", State: store.PepperMissing, DeadKeys: 1, Secrets: 1},
	}
	if fmt.Sprintf("%+v", uses) != fmt.Sprintf("%+v", want) {
		t.Errorf("PepperUses: got\n%+v, want\n%+v", uses, want)
	}
}
