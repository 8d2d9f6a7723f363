package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// auditHistory is a store of three keys with nine audit rows: each was issued, disabled and
// enabled.
func auditHistory(t *testing.T) (*sqlite.Store, *sql.DB, []string) {
	t.Helper()
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	var ids []string
	for i := range 3 {
		id := issue(t, s, admin.IssueRequest{Name: "key " + strconv.Itoa(i)}).Key.ID
		ids = append(ids, id)
		if _, err := m.Disable(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Enable(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	db := shell(t, path)
	mustExec(t, db, `PRAGMA ignore_check_constraints = ON`)
	return s, db, ids
}

func verifyAudit(t *testing.T, r store.Reader, c *audit.Checkpoint) audit.Report {
	t.Helper()
	report, err := store.VerifyAudit(t.Context(), r, &audit.VerifyOptions{Checkpoint: c})
	if err != nil {
		t.Fatalf("VerifyAudit: %v", err)
	}
	return report
}

func wantFault(t *testing.T, what string, report audit.Report, seq int64, keyID, reason string) {
	t.Helper()
	if len(report.Faults) != 1 {
		t.Errorf("VerifyAudit with %s: got %v, want one fault", what, report.Faults)
		return
	}
	if f := report.Faults[0]; f.Seq != seq || f.KeyID != keyID || !strings.Contains(f.Reason, reason) {
		t.Errorf("VerifyAudit with %s: got %+v, want row %d, key %q, %q", what, f, seq, keyID, reason)
	}
}

func checkpoint(t *testing.T, r store.Reader) *audit.Checkpoint {
	t.Helper()
	c, err := audit.NewCheckpoint(t.Context(), r, time.Now())
	if err != nil {
		t.Fatalf("NewCheckpoint: %v", err)
	}
	return &c
}

func TestVerifyAuditHolds(t *testing.T) {
	s, _, _ := auditHistory(t)
	c := checkpoint(t, s)
	issue(t, s, admin.IssueRequest{Name: "later"})
	var told []int64
	report, err := store.VerifyAudit(t.Context(), s, &audit.VerifyOptions{Checkpoint: c, Progress: func(n int64) { told = append(told, n) }})
	if err != nil || len(report.Faults) != 0 || report.Rows != 10 || report.Keys != 4 || report.Head.Seq != 10 || report.Restored {
		t.Errorf("VerifyAudit: got %+v, %v, want 10 rows, 4 keys, no fault", report, err)
	}
	empty := open(t, create(t))
	if report := verifyAudit(t, empty, checkpoint(t, empty)); len(report.Faults) != 0 || report.Head != nil {
		t.Errorf("VerifyAudit of an empty log: got %+v", report)
	}
	other := *c
	other.Generation = "another"
	if report := verifyAudit(t, s, &other); len(report.Faults) != 0 || !report.Restored {
		t.Errorf("VerifyAudit of a store that was restored, and has it all: got %+v", report)
	}
}

// A27. The attack: a database shell changes one byte of the log, in any column, to blame
// another actor or hide a change. The row is named.
func TestA27EveryColumnOfAnAuditRowIsCovered(t *testing.T) {
	t.Parallel()
	for _, set := range []string{
		`seq = 99`, `at = at + 1`, `at = -at`, `actor = 'T' || substr(actor, 2)`, `actor = actor || char(0) || 'x'`, `action = 'key.enablf'`,
		`key_id = substr(key_id, 1, 11) || '-'`, `key_id = ''`, `request_id = substr(request_id, 2)`,
		`detail = detail || ' '`, `detail = replace(detail, 'active', 'Active')`, `detail = '{'`,
		`id = zeroblob(16)`, `id = CAST(id || x'00' AS BLOB)`, `id = substr(id, 1, 15)`, `id = x''`,
		`prev = zeroblob(32)`, `prev = CAST(prev || x'00' AS BLOB)`, `hash = zeroblob(32)`, `hash = substr(hash, 1, 31)`, `hash = CAST(hash || x'00' AS BLOB)`,
	} {
		t.Run(set, func(t *testing.T) {
			s, db, _ := auditHistory(t)
			mustExec(t, db, `UPDATE audit SET `+set+` WHERE seq = 5`)
			report := verifyAudit(t, s, nil)
			if len(report.Faults) != 1 || report.Faults[0].Seq != 5 || report.Rows != 4 {
				t.Errorf("VerifyAudit: got %+v, want row 5 named", report)
			}
		})
	}
}

// A27. The attack: the end of the log is cut off, to hide the last changes. The chain stays
// valid, as its documentation says; a checkpoint shows it, also when the log has grown beyond
// it again, or was computed again.
func TestA27CutTailNeedsACheckpoint(t *testing.T) {
	s, db, _ := auditHistory(t)
	for i := range 10 {
		issue(t, s, admin.IssueRequest{Name: "late " + strconv.Itoa(i)})
	}
	c := checkpoint(t, s)
	if report := verifyAudit(t, s, c); len(report.Faults) != 0 {
		t.Fatalf("VerifyAudit of the whole log: got %v", report.Faults)
	}
	mustExec(t, db, `DELETE FROM audit WHERE seq > 9`)
	mustExec(t, db, `DELETE FROM secrets WHERE key_id IN (SELECT id FROM keys WHERE name LIKE 'late%')`)
	mustExec(t, db, `DELETE FROM keys WHERE name LIKE 'late%'`)
	if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit without a checkpoint: got %v; if a chain can show a cut tail now, say so in SECURITY.md", report.Faults)
	}
	wantFault(t, "a cut tail", verifyAudit(t, s, c), 0, "", "the last 10 rows are missing: the log ends with row 9, but had 19")

	for i := range 12 {
		issue(t, s, admin.IssueRequest{Name: "new " + strconv.Itoa(i)})
	}
	wantFault(t, "a log that grew again", verifyAudit(t, s, c), 19, "", "computed again")

	forge(t, db, s, 2, func(e *audit.Event) { e.Actor = "local:scapegoat(1)" })
	if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit of a log that was computed again, without a checkpoint: got %v", report.Faults)
	}
}

// forge changes a row and computes the chain again from there, which needs no secret.
func forge(t *testing.T, db *sql.DB, r store.Reader, seq int64, edit func(*audit.Event)) {
	t.Helper()
	var prev *audit.Event
	for e, err := range audit.Chain(t.Context(), r, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq == seq {
			edit(&e)
		}
		if e.Seq >= seq {
			e.Link(prev)
			if _, err := db.Exec(`UPDATE audit SET actor = ?, detail = ?, prev = ?, hash = ? WHERE seq = ?`, e.Actor, e.Detail, e.Prev, e.Hash, e.Seq); err != nil {
				t.Fatal(err)
			}
		}
		prev = &e
	}
}

// A27. The attack: a row is put back whole, with the seal that it had then, which undoes
// a revocation. The seal fits; the log tells of a later version.
func TestA27RowPutBackIsFound(t *testing.T) {
	s, db, ids := auditHistory(t)
	mustExec(t, db, `CREATE TEMP TABLE old AS SELECT * FROM keys`)
	if _, err := manager(t, s).Revoke(t.Context(), ids[1], "lost"); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = old.version, seal = old.seal
		FROM old WHERE keys.id = old.id AND keys.id = ?`, []byte(ids[1]))
	if k, err := manager(t, s).Key(t.Context(), ids[1]); err != nil || k.Status(time.Now()) != keys.StatusActive {
		t.Fatalf("the attack fails before it begins: %v", err)
	}
	wantFault(t, "a row put back", verifyAudit(t, s, nil), 0, ids[1], "is at version 3, but audit row 10 is about version 4: an older row was put back")
}

// A27. What else may be wrong with a key's row is named beside.
func TestA27KeysAreHeldAgainstTheLog(t *testing.T) {
	s, db, ids := auditHistory(t)
	mustExec(t, db, `UPDATE keys SET scopes = '["*"]' WHERE id = ?`, []byte(ids[0]))
	wantFault(t, "an edited row", verifyAudit(t, s, nil), 0, ids[0], "does not match its seal")

	s, db, ids = auditHistory(t)
	mustExec(t, db, `DELETE FROM secrets WHERE key_id = ?`, []byte(ids[2]))
	mustExec(t, db, `DELETE FROM keys WHERE id = ?`, []byte(ids[2]))
	wantFault(t, "a deleted row", verifyAudit(t, s, nil), 0, ids[2], "its row is missing")

	s, db, ids = auditHistory(t)
	mustExec(t, db, `DELETE FROM audit WHERE seq > 6`)
	wantFault(t, "a key without a row in the log", verifyAudit(t, s, nil), 0, ids[2], "it has no audit row")

	s, db, ids = auditHistory(t)
	mustExec(t, db, `DELETE FROM audit WHERE seq = 9`)
	wantFault(t, "a change without a row in the log", verifyAudit(t, s, nil), 0, ids[2], "a change has no audit row")

	s, db, _ = auditHistory(t)
	mustExec(t, db, `UPDATE keys SET scopes = '[1]'`)
	if report := verifyAudit(t, s, nil); len(report.Faults) != 3 {
		t.Errorf("VerifyAudit with three rows that cannot be read: got %v", report.Faults)
	}
}

func TestVerifyAuditBoundsItsReport(t *testing.T) {
	path := create(t)
	s := open(t, path)
	for i := range audit.MaxFaults + 5 {
		issue(t, s, admin.IssueRequest{Name: fmt.Sprint(i)})
	}
	mustExec(t, shell(t, path), `UPDATE keys SET owner = 'x'`)
	if report := verifyAudit(t, s, nil); len(report.Faults) != audit.MaxFaults || report.Omitted != 5 {
		t.Errorf("VerifyAudit: got %d faults and %d omitted, want %d and 5", len(report.Faults), report.Omitted, audit.MaxFaults)
	}
}

// Keys that are issued and changed while they are compared raise no false alarm.
func TestVerifyAuditWithWriters(t *testing.T) {
	s, _, ids := auditHistory(t)
	m := manager(t, s)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := m.Disable(t.Context(), ids[w], ""); err != nil {
					t.Errorf("Disable: %v", err)
				}
				if _, err := m.Enable(t.Context(), ids[w]); err != nil {
					t.Errorf("Enable: %v", err)
				}
				if _, err := m.Issue(t.Context(), admin.IssueRequest{Name: fmt.Sprint(w, " ", i)}); err != nil {
					t.Errorf("Issue: %v", err)
				}
			}
		})
	}
	for range 30 {
		if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
			t.Errorf("VerifyAudit: got %v, want no fault", report.Faults)
			break
		}
	}
	close(stop)
	wg.Wait()
}

func TestVerifyAuditOfAClosedStore(t *testing.T) {
	s, _, _ := auditHistory(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.VerifyAudit(t.Context(), s, nil); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("VerifyAudit: got %v, want ErrUnavailable", err)
	}
}

func TestCheckpointReadsBack(t *testing.T) {
	s, _, _ := auditHistory(t)
	c := *checkpoint(t, s)
	got, err := audit.ParseCheckpoint(c.String())
	if err != nil || got.String() != c.String() || got.Seq != 9 || got.Generation == "" {
		t.Errorf("ParseCheckpoint: got %+v, %v, want %+v", got, err, c)
	}
	for _, bad := range []string{
		"", "x", c.String() + "\n", strings.TrimSuffix(c.String(), "\n"), " " + c.String(), strings.Replace(c.String(), "seq 9", "seq 09", 1),
		strings.Replace(c.String(), "seq 9", "seq -9", 1), strings.Replace(c.String(), "hash ", "hash A", 1), strings.Replace(c.String(), "v1", "v2", 1),
		strings.Replace(c.String(), "seq 9\n", "", 1), strings.Replace(c.String(), "seq 9", "seq 9\nseq 9", 1), strings.ToUpper(c.String()),
	} {
		var invalid *keys.InvalidError
		if _, err := audit.ParseCheckpoint(bad); !errors.As(err, &invalid) {
			t.Errorf("ParseCheckpoint(%q): got %v, want an InvalidError", bad, err)
		}
	}
}

// busy has a key changed before keys are listed and behind each look at one, as often as
// it is told to.
type busy struct {
	store.Reader
	change func()
	left   int
}

func (b *busy) meanwhile() {
	if b.left > 0 {
		b.left--
		b.change()
	}
}

func (b *busy) Key(ctx context.Context, id string) (*keys.Key, error) {
	defer b.meanwhile()
	return b.Reader.Key(ctx, id)
}

func (b *busy) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	b.meanwhile()
	return b.Reader.List(ctx, q)
}

// A change between reading a key and reading the log is not a fault, however often that
// happens; a real fault beside it is still found.
func TestVerifyAuditWithABusyKey(t *testing.T) {
	s, db, ids := auditHistory(t)
	m := manager(t, s)
	turn := true
	change := func() {
		var err error
		if turn = !turn; turn {
			_, err = m.Enable(t.Context(), ids[0])
		} else {
			_, err = m.Disable(t.Context(), ids[0], "")
		}
		if err == nil {
			_, err = m.Issue(t.Context(), admin.IssueRequest{Name: fmt.Sprint(time.Now().UnixNano())})
		}
		if err != nil {
			t.Errorf("change: %v", err)
		}
	}
	change()
	if report := verifyAudit(t, &busy{s, change, 7}, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit: got %v, want no fault", report.Faults)
	}
	mustExec(t, db, `UPDATE keys SET scopes = '["*"]' WHERE id = ?`, []byte(ids[2]))
	wantFault(t, "an edited row beside a busy one", verifyAudit(t, &busy{s, change, 7}, nil), 0, ids[2], "does not match its seal")
}
