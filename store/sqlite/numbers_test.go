package sqlite_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// isAltered fails unless err says that the store was changed outside mcpkeys, in one
// sentence with want in it, and is an ErrUnavailable.
func isAltered(t *testing.T, what string, err error, want string) {
	t.Helper()
	var altered *feed.AlteredError
	switch {
	case !errors.As(err, &altered) || !errors.Is(err, keys.ErrUnavailable):
		t.Errorf("%s: got %v, want an AlteredError", what, err)
	case !strings.Contains(err.Error(), want):
		t.Errorf("%s: got %q, want %q in it", what, err, want)
	case strings.Contains(err.Error(), "SQL") || strings.Contains(err.Error(), "convert") || strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: got %q, want one sentence of mcpkeys", what, err)
	}
}

// force executes what the constraints of the schema refuse.
func force(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := shell(t, path)
	mustExec(t, db, `PRAGMA ignore_check_constraints = ON`)
	for _, statement := range statements {
		mustExec(t, db, statement)
	}
}

// numbersOutOfRange are numbers of the store that a database shell set out of range, and the
// error for each.
var numbersOutOfRange = []struct{ name, statement, want string }{
	{"the largest number", `UPDATE meta SET value = 9223372036854775807 WHERE name = 'change_seq'`, "change_seq"},
	{"one too many", `UPDATE meta SET value = 281474976710656 WHERE name = 'change_seq'`, "change_seq"},
	{"the last number with room", `UPDATE meta SET value = 281474976710655 WHERE name = 'change_seq'`, "change_seq"},
	{"one before it", `UPDATE meta SET value = 281474976710654 WHERE name = 'change_seq'`, "change_seq"},
	{"the first of the band", `UPDATE meta SET value = 280375465082880 WHERE name = 'change_seq'`, "change_seq"},
	{"an audit row with the last number", `UPDATE audit SET seq = 281474976710655 WHERE seq = 1`, "audit rows"},
	{"an audit row in the band", `UPDATE audit SET seq = 280375465082880 WHERE seq = 1`, "audit rows"},
	{"an event with the last number", `INSERT INTO events (seq, id, key_id, kind) VALUES (281474976710655, randomblob(16), x'00', 'key.updated')`, "feed (events)"},
	{"a negative number", `UPDATE meta SET value = -1 WHERE name = 'change_seq'`, "change_seq"},
	{"a number as text", `UPDATE meta SET value = '7' WHERE name = 'change_seq'`, "change_seq"},
	{"a number as real", `UPDATE meta SET value = 7.5 WHERE name = 'change_seq'`, "change_seq"},
	{"a number as blob", `UPDATE meta SET value = x'07' WHERE name = 'change_seq'`, "change_seq"},
	{"no number", `DELETE FROM meta WHERE name = 'change_seq'`, "change_seq"},
	{"a number set back", `UPDATE meta SET value = 1 WHERE name = 'change_seq'`, "feed (events)"},
	{"an event row ahead", `INSERT INTO events (seq, id, key_id, kind) VALUES (1000, randomblob(16), x'00', 'key.updated')`, "feed (events)"},
	{"an event far ahead", `INSERT INTO events (seq, id, key_id, kind) VALUES (9223372036854775807, randomblob(16), x'00', 'key.updated')`, "feed (events)"},
	{"an audit row far ahead", `UPDATE audit SET seq = 9223372036854775807 WHERE seq = 1`, "audit rows"},
	{"an audit row before all", `UPDATE audit SET seq = -5`, "audit rows"},
	{"a cut audit hash", `UPDATE audit SET hash = x'00'`, "audit rows"},
	{"a generation as number", `UPDATE meta SET value = 5 WHERE name = 'generation'`, "generation"},
	{"an empty generation", `UPDATE meta SET value = '' WHERE name = 'generation'`, "generation"},
	{"no generation", `DELETE FROM meta WHERE name = 'generation'`, "generation"},
	{"another store id", `UPDATE meta SET value = randomblob(16) WHERE name = 'store_id'`, "store id"},
	{"a store id as text", `UPDATE meta SET value = 'x' WHERE name = 'store_id'`, "store id"},
	{"no store id", `DELETE FROM meta WHERE name = 'store_id'`, "store id"},
}

// The attack: a database shell sets a number of the store out of range, so that no change can
// be made any more, or is made and not announced. Running processes report it in one sentence;
// guards refuse; nothing is written.
func TestA27NumbersOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range numbersOutOfRange {
		t.Run(c.name, func(t *testing.T) {
			path := create(t)
			s, r := open(t, path), forChecks(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			since := mustChanges(t, r, feed.Position{}).Next
			force(t, path, c.statement)
			for what, reader := range map[string]store.Reader{"of the writer": s, "of a guard": r} {
				_, err := reader.Changes(t.Context(), since)
				isAltered(t, "Changes "+what, err, c.want)
			}
			_, err := manager(t, s).Revoke(t.Context(), id, "")
			isAltered(t, "Revoke", err, c.want)
			_, err = manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "other"})
			isAltered(t, "Issue", err, c.want)
			if k, err := s.Key(t.Context(), id); err != nil || !k.RevokedAt.IsZero() {
				t.Errorf("Key: got %v, %v, want nothing written", k, err)
			}
			if _, err := s.List(t.Context(), keys.Query{}); err != nil {
				t.Errorf("List: %v", err)
			}
			report, err := store.VerifyAudit(t.Context(), s, nil)
			if err != nil || len(report.Faults) == 0 {
				t.Errorf("VerifyAudit: got %+v, %v, want it told", report, err)
			}
			if _, err := sqlite.Examine(t.Context(), path); c.name != "another store id" && err == nil {
				t.Error("Examine: got no error")
			}
		})
	}
}

// The schema itself refuses what the shell of an honest administrator may do by mistake.
func TestSchemaRefusesNumbersOutOfRange(t *testing.T) {
	_, path, ids := tamperable(t)
	db := shell(t, path)
	for _, statement := range []string{
		`UPDATE meta SET value = 9223372036854775807 WHERE name = 'change_seq'`,
		`UPDATE meta SET value = -1 WHERE name = 'change_seq'`, `UPDATE meta SET value = '7' WHERE name = 'change_seq'`,
		`UPDATE meta SET value = 5 WHERE name = 'generation'`, `UPDATE meta SET value = 'x' WHERE name = 'store_id'`,
		`UPDATE meta SET value = x'00' WHERE name GLOB 'pepper/*'`, `UPDATE meta SET value = 'x' WHERE name = 'created_at'`,
		`UPDATE audit SET seq = 281474976710656 WHERE seq = 1`,
		`INSERT INTO events (seq, id, key_id, kind) VALUES (281474976710656, randomblob(16), x'00', 'key.updated')`,
		`UPDATE keys SET version = 281474976710656 WHERE id = :a`,
		`UPDATE keys SET expires_at = 9223372036854775807 WHERE id = :a`, `UPDATE keys SET created_at = -9223372036854775808 WHERE id = :a`,
		`UPDATE keys SET revoked_at = 9223372036854775807 WHERE id = :a`, `UPDATE keys SET disabled_at = 9223372036854775807 WHERE id = :a`,
		`UPDATE keys SET rate_count = 9223372036854775807 WHERE id = :a`, `UPDATE keys SET rate_burst = 9223372036854775807 WHERE id = :a`,
		`UPDATE secrets SET number = 9223372036854775807 WHERE key_id = :a`,
		`UPDATE secrets SET expires_at = 9223372036854775807 WHERE key_id = :a`,
	} {
		if _, err := db.Exec(statement, named(ids)...); err == nil {
			t.Errorf("%s: got no error", statement)
		}
	}
}

// The attack: a number in a key's row is pushed out of range, so that something falls over
// or counts round. That one key is refused; it is listed, and can be revoked; all others
// go on.
func TestA27KeyNumbersOutOfRange(t *testing.T) {
	t.Parallel()
	const most, least = `9223372036854775807`, `-9223372036854775808`
	for _, set := range []string{
		`version = 281474976710655`, `version = 281474976710654`, `version = 280375465082880`, `version = 280375465082879`, `version = 280375465082878`,
		`version = ` + most, `version = ` + least, `version = 0`, `rate_count = ` + most, `rate_count = ` + least,
		`rate_window = ` + most, `rate_window = ` + least, `rate_window = 0`, `rate_burst = ` + most, `rate_burst = ` + least,
		`expires_at = ` + most, `expires_at = ` + least, `created_at = ` + most, `created_at = ` + least,
		`disabled_at = ` + most, `revoked_at = ` + most, `revoked_at = ` + least,
		`max_key_life = ` + most, `max_concurrent = ` + most, `quiet = ` + least, `seal_format = ` + most,
	} {
		t.Run(set, func(t *testing.T) {
			s, path, ids := tamperable(t)
			force(t, path, `UPDATE keys SET `+set+` WHERE name = 'a'`)
			wantOneTampered(t, s, ids)
		})
	}
	for _, set := range []string{`number = 281474976710655`, `number = ` + most, `number = ` + least, `number = 0`, `created_at = ` + most, `expires_at = ` + most, `expires_at = ` + least} {
		t.Run("secrets "+set, func(t *testing.T) {
			s, path, ids := tamperable(t)
			force(t, path, `UPDATE secrets SET `+set+` WHERE key_id = (SELECT id FROM keys WHERE name = 'a')`)
			wantOneTampered(t, s, ids)
		})
	}
}

// wantOneTampered: the key a was edited, and can be revoked all the same.
func wantOneTampered(t *testing.T, s *sqlite.Store, ids map[string][]byte) {
	t.Helper()
	if got := tampered(t, s, ids); len(got) != 1 || got[0] != "a" {
		t.Errorf("tampered: got %q, want a alone", got)
	}
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil || len(page.Keys) != 3 {
		t.Errorf("List: got %d keys, %v, want 3", len(page.Keys), err)
	}
	for _, k := range page.Keys {
		for _, at := range []interface{ MarshalJSON() ([]byte, error) }{k.CreatedAt, k.ExpiresAt, k.DisabledAt, k.RevokedAt} {
			if _, err := at.MarshalJSON(); err != nil {
				t.Errorf("a time of %s cannot be shown: %v", k.Name, err)
			}
		}
		_ = k.RateLimit.String() // must not panic
	}
	k, err := manager(t, s).Revoke(t.Context(), string(ids["a"]), "edited")
	if err != nil || k.RevokedAt.IsZero() || s.Peppers().CheckSeal(k) != nil {
		t.Errorf("Revoke: got %v, %v, want the edited key revoked", k, err)
	}
	if got := tampered(t, s, ids); len(got) != 0 {
		t.Errorf("tampered after the revoke: got %q, want none", got)
	}
}

// A change number that was pushed out of range is mended by a restore, which then counts
// on from the backup.
func TestRestoreMendsNumbers(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		`UPDATE meta SET value = 281474976710655 WHERE name = 'change_seq'`,
		`UPDATE meta SET value = 280375465082880 WHERE name = 'change_seq'`,
		`UPDATE audit SET seq = 281474976710655 WHERE seq = 1`,
		`UPDATE meta SET value = 9223372036854775807 WHERE name = 'change_seq'`,
		`INSERT INTO events (seq, id, key_id, kind) VALUES (9223372036854775807, randomblob(16), x'00', 'key.updated')`,
		`UPDATE meta SET value = 5 WHERE name = 'generation'`,
	} {
		path := create(t)
		s := open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
		file := path + ".backup"
		if _, err := s.Backup(t.Context(), file, nil); err != nil {
			t.Fatal(err)
		}
		mustRevoke(t, s, id)
		force(t, path, statement)
		r, err := sqlite.PrepareRestore(t.Context(), path, file, nil)
		if err != nil {
			t.Fatalf("PrepareRestore after %s: %v", statement, err)
		}
		if r.Doubt == nil {
			t.Errorf("PrepareRestore after %s: got no doubt", statement)
		}
		if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
			t.Fatalf("Run after %s: %v", statement, err)
		}
		if _, err := s.Changes(t.Context(), feed.Position{}); err != nil {
			t.Errorf("Changes after the restore: %v", err)
		}
		if k, err := s.Key(t.Context(), id); err != nil || k.RevokedAt.IsZero() {
			t.Errorf("Key after the restore: got %v, %v, want it revoked still", k, err)
		}
		issue(t, s, admin.IssueRequest{Name: "next"})
	}
}

// The attack: with a database shell, and within what the schema allows, the change number
// is set so near to the end that it runs out. Wherever it is set, there is no store that
// doctor calls sound and that no revocation can be made in; and a restore counts on from
// the backup.
func TestNumbersThatRunOut(t *testing.T) {
	t.Parallel()
	for _, seq := range []int64{1<<48 - 1, 1<<48 - 2, 1<<48 - 1<<40, 1<<48 - 1<<40 - 1, 1<<48 - 1<<40 - 2, 1 << 47, 1<<47 - 1} {
		t.Run(strconv.FormatInt(seq, 10), func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			file := path + ".backup"
			backUp(t, s.Reader, file)
			mustExec(t, shell(t, path), `UPDATE meta SET value = ? WHERE name = 'change_seq'`, seq)
			_, sound := sqlite.Examine(t.Context(), path)
			k, err := manager(t, s).Revoke(t.Context(), id, "")
			switch {
			case sound == nil && (err != nil || k.RevokedAt.IsZero()):
				t.Errorf("Revoke in a sound store: got %v, %v", k, err)
			case sound != nil:
				isAltered(t, "Revoke", err, "change_seq")
			}
			for range 3 { // from one sound store into an altered one
				if _, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "x"}); err != nil && !errors.Is(err, keys.ErrConflict) {
					isAltered(t, "Issue", err, "change_seq")
				}
			}
			restore(t, path, file)
			if c := mustChanges(t, s, feed.Position{}); c.Next.Seq > 1<<47+10 {
				t.Errorf("Changes after the restore: got number %d, want it far from the end", c.Next.Seq)
			}
			issue(t, s, admin.IssueRequest{Name: "next"})
			if _, err := sqlite.Examine(t.Context(), path); err != nil {
				t.Errorf("Examine after the restore: %v", err)
			}
		})
	}
}

// A backup of a store whose number another program set far up, and left there, can be
// restored: its feed continues from that number.
func TestRestoreOfABackupWithAFarNumber(t *testing.T) {
	path := create(t)
	s := open(t, path)
	mustExec(t, shell(t, path), `UPDATE meta SET value = ? WHERE name = 'change_seq'`, int64(1)<<47+1<<46)
	issue(t, s, admin.IssueRequest{Name: "ci"})
	file := path + ".backup"
	backUp(t, s.Reader, file)
	mustExec(t, shell(t, path), `UPDATE meta SET value = ? WHERE name = 'change_seq'`, int64(1)<<48-1)
	restore(t, path, file)
	issue(t, s, admin.IssueRequest{Name: "next"})
	mustChanges(t, s, feed.Position{})
}

// restore puts a backup in the place of the key store at path.
func restore(t *testing.T, path, backup string) {
	t.Helper()
	r, err := sqlite.PrepareRestore(t.Context(), path, backup, nil)
	if err != nil {
		t.Fatalf("PrepareRestore: %v", err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"}); err != nil {
		t.Fatalf("Run: %v", err)
	}
}
