package importing_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

const strongToken = "acme_3ZJ9vYkQ0hW2mRbT7xLsN4"

func sumOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func mustHash(t *testing.T, text string) pepper.Hash {
	t.Helper()
	h, err := pepper.ParseHash(text)
	if err != nil {
		t.Fatalf("ParseHash: %v", err)
	}
	return h
}

func row(name string) importing.Row {
	return importing.Row{IssueRequest: admin.IssueRequest{Name: name}}
}

func withKey(name, token string) importing.Row {
	r := row(name)
	r.Key = keys.NewSecret(token)
	return r
}

func withHash(t *testing.T, name, id, hash string) importing.Row {
	t.Helper()
	r := row(name)
	r.ID, r.Hash = id, mustHash(t, hash)
	return r
}

// numbered yields rows on the lines 1, 2, ….
func numbered(rows ...importing.Row) iter.Seq2[importing.Row, error] {
	return func(yield func(importing.Row, error) bool) {
		for i, r := range rows {
			r.Line = i + 1
			if !yield(r, nil) {
				return
			}
		}
	}
}

// importAll expects a report without refusals.
func importAll(t *testing.T, m *admin.Local, rows ...importing.Row) {
	t.Helper()
	report, err := importing.Import(t.Context(), m, numbered(rows...), importing.Options{})
	if err != nil || report.Imported != len(rows) || report.Refused != 0 {
		t.Fatalf("Import: got %+v, %v, want %d imported", report, err, len(rows))
	}
}

// found returns the one key that token may belong to.
func found(t *testing.T, store *sqlite.Store, token string) *keys.Key {
	t.Helper()
	ids, err := store.FindImported(t.Context(), store.Peppers().Lookups(keys.NewSecret(token)))
	if err != nil || len(ids) != 1 {
		t.Fatalf("FindImported: got %v, %v, want one", ids, err)
	}
	k, err := store.Key(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every kind of row becomes a key with a new id, an audit row, its grants, and a secret that
// only its old token proves.
func TestImport(t *testing.T) {
	m, store := newManager(t)
	sha := withHash(t, "sha", "row-7", sumOf(strongToken))
	sha.Owner, sha.Scopes, sha.Audience = "team-a", []string{"tools:get_*"}, []string{"weather"}
	sha.Metadata = map[string]string{"env": "prod"}
	importAll(t, m,
		sha,
		withKey("plain", "another"+strongToken),
		withHash(t, "spring", "api01", springPassword),
		withHash(t, "argon", "api02", argonPassword),
		withKey("weak", "api03.short-one"),
	)
	for token, want := range map[string]struct {
		name   string
		scheme keys.Scheme
	}{
		strongToken:             {"sha", keys.SchemeSHA256},
		"another" + strongToken: {"plain", keys.SchemeHMAC},
		"api01.password":        {"spring", keys.SchemeBcrypt},
		"api02.password":        {"argon", keys.SchemeArgon2id},
		"api03.short-one":       {"weak", keys.SchemeArgon2id},
	} {
		k := found(t, store, token)
		s := &k.Secrets[0]
		proven := func(text string) bool {
			if s.Scheme.Slow() {
				return pepper.ProvenBy(s, keys.NewSecret(text))
			}
			return store.Peppers().Verify(k, keys.NewSecret(text)) == s
		}
		if k.Name != want.name || s.Scheme != want.scheme || !s.Imported() || !keys.ValidID(k.ID) || k.ExpiresAt != noon.Add(keys.DefaultLife) {
			t.Errorf("%s: got %q under %s, expiring %v, want %q under %s", token, k.Name, s.Scheme, k.ExpiresAt, want.name, want.scheme)
		}
		if !proven(token) || proven(token+"x") {
			t.Errorf("%s: the token does not prove it, or another does", token)
		}
		if err := store.Peppers().CheckSeal(k); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
	k := found(t, store, strongToken)
	if k.Owner != "team-a" || k.Scopes[0] != "tools:get_*" || k.Audience[0] != "weather" || k.Metadata["env"] != "prod" || k.Metadata["imported_id"] != "row-7" {
		t.Errorf("Import: got %+v, want what the row said", k)
	}
	list := events(t, store)
	if len(list) != 6 || list[5].Action != audit.ActionImportDone || list[5].KeyID != "" || list[0].Action != audit.ActionImport || list[0].KeyID != k.ID || !strings.Contains(list[0].Detail, `"scheme":"sha256"`) {
		t.Errorf("audit: got %d rows, the first %+v", len(list), list[0])
	}
}

// Each refused row is reported with its line and the fix, nothing is echoed, and nothing is
// written; with Partial the valid ones are.
func TestImportRefuses(t *testing.T) {
	m, store := newManager(t)
	native := mustIssue(t, m, admin.IssueRequest{Name: "native"}).Token.Reveal()
	importAll(t, m, withKey("there", "there"+strongToken))
	adminKey := withKey("admin", "admin"+strongToken)
	adminKey.Kind = keys.KindAdmin
	both := withKey("both", "both"+strongToken)
	both.Hash = mustHash(t, sumOf("x"))
	never := withKey("never", "api.short-one")
	never.Expires = keys.NeverExpires()
	flawed := row("flawed")
	flawed.Flaw = errors.New("cut off")
	badScope := withKey("scope", "scope"+strongToken)
	badScope.Scopes = []string{"a b"}
	before := len(events(t, store))
	cases := []struct {
		row  importing.Row
		want string
	}{
		{withKey("good", "good"+strongToken), ""},
		{flawed, "cut off"},
		{withKey("", "nameless"+strongToken), "name: is required"},
		{row("neither"), "key: set exactly one of key and hash"},
		{both, "set exactly one"},
		{adminKey, "admin keys are issued"},
		{withKey("own", native), "is an mcpkeys key"},
		{withKey("short", "1234567"), "8 to 256"},
		{withKey("space", "a b"+strongToken), "8 to 256"},
		{withKey("guessable", "hunter2-hunter2"), "short enough to be guessed"},
		{never, "must not be never"},
		{badScope, "scope"},
		{withHash(t, "no handle", "", springPassword), "id: is required"},
		{withHash(t, "dot", "a.b", springPassword), "before its first dot"},
		{withKey("good", "twice"+strongToken), "line 1 has the same name"},
		{withKey("again", "good"+strongToken), "line 1 has the same token"},
		{withHash(t, "again hashed", "", sumOf("good"+strongToken)), "line 1 has the same token"},
		{withKey("native", "name"+strongToken), "unrevoked key with that name"},
		{withKey("stored", "there"+strongToken), "already has this token"},
	}
	var rows []importing.Row
	for _, tc := range cases {
		rows = append(rows, tc.row)
	}
	for _, o := range []importing.Options{{}, {DryRun: true}} {
		report, err := importing.Import(t.Context(), m, numbered(rows...), o)
		if !errors.Is(err, importing.ErrRefused) || report.Rows != len(cases) || report.Refused != len(cases)-1 || len(report.Reasons) != len(cases)-1 {
			t.Fatalf("Import: got %+v, %v, want all but one refused", report, err)
		}
		for i, r := range report.Reasons {
			if want := cases[r.Line-1].want; r.Line != i+2 || !strings.Contains(r.Reason.Error(), want) {
				t.Errorf("line %d: got %v, want %q", r.Line, r.Reason, want)
			}
			if text := fmt.Sprint(r.Reason); strings.Contains(text, strongToken) || strings.Contains(text, "hunter") || strings.Contains(text, native) {
				t.Errorf("line %d: the reason repeats the token: %v", r.Line, text)
			}
		}
		if after := len(events(t, store)); after != before {
			t.Errorf("Import wrote %d rows, want none", after-before)
		}
	}
	report, err := importing.Import(t.Context(), m, numbered(rows...), importing.Options{Partial: true})
	if err != nil || report.Imported != 1 || report.Refused != len(cases)-1 {
		t.Errorf("Import with Partial: got %+v, %v, want one imported", report, err)
	}
	found(t, store, "good"+strongToken)
}

// Otherwise one token with a known id would cost as many slow hashes as there are rows with
// that id.
func TestA6SharedHandle(t *testing.T) {
	m, store := newManager(t)
	rows := func(from, to int) (list []importing.Row) {
		for i := from; i < to; i++ {
			list = append(list, withKey(fmt.Sprint("key ", i), fmt.Sprint("shared.short-", i)))
		}
		return list
	}
	report, err := importing.Import(t.Context(), m, numbered(rows(0, keys.MaxPerHandle+1)...), importing.Options{})
	if !errors.Is(err, importing.ErrRefused) || report.Refused != 1 || !errors.Is(report.Reasons[0].Reason, keys.ErrHandleTaken) {
		t.Errorf("five of one handle: got %+v, %v, want the fifth refused", report, err)
	}
	importAll(t, m, rows(0, keys.MaxPerHandle)...)
	report, err = importing.Import(t.Context(), m, numbered(rows(keys.MaxPerHandle, keys.MaxPerHandle+1)...), importing.Options{})
	if !errors.Is(err, importing.ErrRefused) || !errors.Is(report.Reasons[0].Reason, keys.ErrHandleTaken) {
		t.Errorf("one more of a stored handle: got %+v, %v, want ErrHandleTaken", report, err)
	}
	if n := len(events(t, store)); n != keys.MaxPerHandle+1 { // and the import as a whole
		t.Errorf("got %d audit rows, want %d", n, keys.MaxPerHandle+1)
	}
}

// A key that was revoked here is still in the old system's file. Importing that again must not
// make its token valid, under any hash.
func TestImportRevivesNoRevokedToken(t *testing.T) {
	m, store := newManager(t)
	importAll(t, m, withHash(t, "fast", "", sumOf(strongToken)), withHash(t, "slow", "api01", springPassword))
	for _, token := range []string{strongToken, "api01.password"} {
		if _, err := m.Revoke(t.Context(), found(t, store, token).ID, "leaked"); err != nil {
			t.Fatal(err)
		}
	}
	report, err := importing.Import(t.Context(), m, numbered(
		withHash(t, "fast", "", sumOf(strongToken)), withKey("plain", strongToken), withHash(t, "slow", "api01", springPassword),
	), importing.Options{Partial: true})
	if err != nil || report.Imported != 0 || report.Refused != 3 {
		t.Fatalf("Import: got %+v, %v, want all refused", report, err)
	}
	for _, r := range report.Reasons {
		if r.Line < 3 && !errors.Is(r.Reason, keys.ErrTokenTaken) && !strings.Contains(r.Reason.Error(), "line 1") || r.Line == 3 && !errors.Is(r.Reason, keys.ErrTokenTaken) {
			t.Errorf("line %d: got %v, want ErrTokenTaken", r.Line, r.Reason)
		}
	}
}

// Defaults apply to rows without a value, and a source that cannot be read to its end imports
// nothing.
func TestImportOptions(t *testing.T) {
	m, store := newManager(t)
	own := withKey("own", "own"+strongToken)
	own.Owner, own.Expires = "ann", keys.NeverExpires()
	done := 0
	report, err := importing.Import(t.Context(), m, numbered(own, withKey("bare", "bare"+strongToken)), importing.Options{
		Owner: "ops", Expires: keys.ExpiresAt(noon.Add(time.Hour)), Progress: func(rows int) { done = rows },
	})
	if err != nil || report.Imported != 2 || done != 0 {
		t.Fatalf("Import: got %+v, %v, progress of %d", report, err, done)
	}
	if k := found(t, store, "own"+strongToken); k.Owner != "ann" || !k.ExpiresAt.IsZero() {
		t.Errorf("own: got %q, %v", k.Owner, k.ExpiresAt)
	}
	if k := found(t, store, "bare"+strongToken); k.Owner != "ops" || !k.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("bare: got %q, %v", k.Owner, k.ExpiresAt)
	}
	broken := errors.New("the disk is gone")
	_, err = importing.Import(t.Context(), m, func(yield func(importing.Row, error) bool) {
		_ = yield(withKey("a", "a"+strongToken), nil) && yield(importing.Row{}, broken)
	}, importing.Options{Partial: true})
	if !errors.Is(err, broken) || len(events(t, store)) != 3 {
		t.Errorf("a source that breaks off: got %v and %d audit rows", err, len(events(t, store)))
	}
}

// Rotation gives an imported key a secret in mcpkeys form; the old token is valid for the
// grace, and not longer.
func TestRotateImported(t *testing.T) {
	m, store := newManager(t)
	importAll(t, m, withHash(t, "slow", "api01", springPassword))
	k := found(t, store, "api01.password")
	issued, err := m.Rotate(t.Context(), k.ID, admin.RotateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.ParseToken(issued.Token.Reveal())
	if err != nil || token.ID() != k.ID {
		t.Errorf("Rotate: got a token of %v, %v, want one of mcpkeys for %s", token.ID(), err, k.ID)
	}
	old := found(t, store, "api01.password").Secrets
	if len(old) != 2 || old[0].Scheme != keys.SchemeBcrypt || !old[0].ExpiresAt.Equal(noon.Add(admin.DefaultGrace)) || old[1].Imported() {
		t.Errorf("Rotate: got %+v, want the old secret with an end, and a new one of mcpkeys", old)
	}
	if _, err := m.Rotate(t.Context(), k.ID, admin.RotateRequest{Finish: 1}); err != nil {
		t.Fatal(err)
	}
	if ids, err := store.FindImported(t.Context(), store.Peppers().Lookups(keys.NewSecret("api01.password"))); err != nil || ids != nil {
		t.Errorf("after the rotation: the old token still leads to %v, %v", ids, err)
	}
}

// A leaked token was revoked, and is imported again from a list of plain tokens: although the
// key was stored under another hash, the token must not become valid.
func TestImportRevivesNoTokenOfAnotherHash(t *testing.T) {
	const token, weak = "api01.3ZJ9vYkQ0hW2mRbT7xLsN4", "api01.hunter2"
	slow, err := bcrypt.GenerateFromPassword([]byte(token[len("api01."):]), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512([]byte(token))
	for name, c := range map[string]struct {
		first importing.Row
		token string
	}{
		"bcrypt":   {withHash(t, "first", "api01", string(slow)), token},
		"sha512":   {withHash(t, "first", "", "sha512:"+hex.EncodeToString(sum[:])), token},
		"argon2id": {withKey("first", weak), weak},
	} {
		m, store := newManager(t)
		importAll(t, m, c.first)
		if _, err := m.Revoke(t.Context(), found(t, store, c.token).ID, "leaked"); err != nil {
			t.Fatal(err)
		}
		report, err := importing.Import(t.Context(), m, numbered(withKey("again", c.token)), importing.Options{})
		if !errors.Is(err, importing.ErrRefused) || len(report.Reasons) != 1 || !errors.Is(report.Reasons[0].Reason, keys.ErrTokenTaken) {
			t.Errorf("Import of a token that is revoked under %s: got %+v, %v, want ErrTokenTaken", name, report, err)
		}
	}
}

// The attack: a file of keys contains the digest of a token that its author knows, under the id
// of another key, or under a pepper that does not exist.
func TestImportOfExportedHashes(t *testing.T) {
	m, store := newManager(t)
	issued := mustIssue(t, m, admin.IssueRequest{Name: "ci"})
	s := &issued.Key.Secrets[0]
	again := withHash(t, "ci", "", s.Hash())
	again.KeyID = issued.Key.ID
	report, err := importing.Import(t.Context(), m, numbered(again), importing.Options{})
	if err != nil || report.Already != 1 || report.Imported != 0 {
		t.Errorf("Import of what is there: got %+v, %v, want it counted", report, err)
	}
	other := mustIssue(t, m, admin.IssueRequest{Name: "other"})
	stolen := again
	stolen.Name, stolen.KeyID = "other", other.Key.ID
	strange := again
	strange.Hash = mustHash(t, strings.Replace(s.Hash(), s.PepperID, "pZZZZZZ", 1))
	nameless := again
	nameless.Name, nameless.KeyID = "nameless", ""
	admin := again
	admin.Kind = keys.KindAdmin
	for name, r := range map[string]importing.Row{"another key's id": stolen, "a pepper that is not there": strange, "no id": nameless, "an admin key": admin} {
		if report, err := importing.Import(t.Context(), m, numbered(r), importing.Options{}); !errors.Is(err, importing.ErrRefused) || report.Refused != 1 {
			t.Errorf("%s: got %+v, %v, want it refused", name, report, err)
		}
	}
	if k, err := store.Key(t.Context(), other.Key.ID); err != nil || store.Peppers().Verify(k, issued.Token) != nil {
		t.Errorf("the other key: got %v, want it proved by its own token alone", err)
	}
	if _, err := m.Revoke(t.Context(), issued.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	if report, err := importing.Import(t.Context(), m, numbered(again), importing.Options{}); !errors.Is(err, importing.ErrRefused) || report.Already != 0 {
		t.Errorf("Import of a revoked key: got %+v, %v, want it refused", report, err)
	}
	for _, broken := range []string{"hmac-sha256:", "hmac-sha256:p1:00", "md5+hmac-sha256:p1:" + strings.Repeat("00", 32), "sha256+hmac-sha256:p1:" + strings.Repeat("00", 32), "hmac-sha256::" + strings.Repeat("00", 32)} {
		if _, err := pepper.ParseHash(broken); err == nil {
			t.Errorf("ParseHash(%q): accepted", broken)
		}
	}
}
