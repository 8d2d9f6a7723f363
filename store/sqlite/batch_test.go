package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// importVar tells an importing child what to do: how many rows, the beginning of their
// names, and at which row it kills itself, 0 for at none.
const importVar = "MCPKEYS_TEST_IMPORT"

// manyRows makes rows with tokens of their own. At is called before each.
func manyRows(n int, names string, at func(row int)) iter.Seq2[importing.Row, error] {
	return func(yield func(importing.Row, error) bool) {
		for i := 1; i <= n; i++ {
			at(i)
			row := importing.Row{
				Line: i, Key: keys.NewSecret(fmt.Sprintf("acme_%s_%07d_3ZJ9vYkQ0hW2mRbT7xLsN4", names, i)),
				IssueRequest: admin.IssueRequest{Name: fmt.Sprintf("%s-%07d", names, i), Scopes: []string{"tools:get_*"}, Audience: []string{"weather"}},
			}
			if !yield(row, nil) {
				return
			}
		}
		at(n + 1)
	}
}

// importRole imports, and tells how much memory it took.
func importRole(path string) error {
	var n, killAt int
	var names string
	if _, err := fmt.Sscan(os.Getenv(importVar), &n, &names, &killAt); err != nil {
		return err
	}
	s, m, err := childStore(path)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	report, err := importing.Import(context.Background(), m, manyRows(n, names, func(row int) {
		if row == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}), importing.Options{})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(waits{Rounds: report.Imported, HighWaterKByte: highWater()})
}

// highWater is the most memory that this process ever had, in kB.
func highWater() int {
	text, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.SplitN(after, "\n", 2)[0], "kB")))
	return n
}

// countKeys is how many keys a list shows whose name begins with names.
func countKeys(t testing.TB, r store.Reader, names string) (n int) {
	t.Helper()
	q := keys.Query{Search: names, Limit: keys.MaxLimit}
	for {
		page, err := r.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			if strings.HasPrefix(k.Name, names) { // the search also finds ids
				n++
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return n
		}
	}
}

func unfinished(t testing.TB, path string) (batches, rows int) {
	t.Helper()
	err := shell(t, path).QueryRow(`SELECT (SELECT count(*) FROM batches WHERE valid_at IS NULL),
		(SELECT count(*) FROM keys WHERE batch IN (SELECT id FROM batches WHERE valid_at IS NULL))`).Scan(&batches, &rows)
	if err != nil {
		t.Fatal(err)
	}
	return batches, rows
}

// An import is killed, at many rows and at many moments. Each time all of its keys are
// valid or none is, for a reader that was open all the time too; the audit log holds; and
// the next import does its work, with the same names.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	path := create(t)
	s, r := open(t, path), openVerifier(t, path)
	const n = 1200
	kills, all := 0, 0
	names := "import-0"
	var took time.Duration
	for round := range rounds(12, 50) {
		cmd := child(t, "import", path)
		killAt := 0
		if round%2 == 0 {
			killAt = 1 + rand.N(n+1)
		}
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %s %d", importVar, n, names, killAt))
		began := time.Now()
		out := begin(t, cmd)
		kill := func() { _ = cmd.Process.Kill() }
		timer := time.AfterFunc(time.Hour, kill)
		lastLine(out, func(line string) {
			if line == "opened" && killAt == 0 && round > 1 {
				timer.Reset(sometime(took, false))
			}
		})
		if cmd.Wait() != nil {
			kills++
		}
		if timer.Stop(); round == 1 {
			took = time.Since(began)
		}
		for _, one := range []store.Reader{s, r} {
			if got := countKeys(t, one, names); got != 0 && got != n {
				t.Fatalf("round %d: got %d keys of %d, want all or none", round, got, n)
			}
		}
		if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
			t.Fatalf("round %d: VerifyAudit: %v", round, report.Faults)
		}
		if countKeys(t, s, names) == n {
			all++
			names = "import-" + strconv.Itoa(round+1)
		}
	}
	report, err := importing.Import(t.Context(), manager(t, s), manyRows(n, names, func(int) {}), importing.Options{})
	if err != nil || report.Imported != n {
		t.Errorf("the next import: got %+v, %v, want %d", report, err, n)
	}
	if batches, rows := unfinished(t, path); batches != 0 || rows != 0 {
		t.Errorf("left over: %d imports with %d keys, want none", batches, rows)
	}
	if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit: %v", report.Faults)
	}
	t.Logf("%d kills, %d imports came to their end", kills, all)
	if kills == 0 {
		t.Error("no import was killed, so this test shows nothing")
	}
}

// killedImport leaves an import behind that was killed at its last row.
func killedImport(t *testing.T, path string, n int, names string) {
	t.Helper()
	cmd := child(t, "import", path)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %s %d", importVar, n, names, n))
	if err := cmd.Run(); err == nil {
		t.Fatal("the import was not killed")
	}
	if batches, rows := unfinished(t, path); batches != 1 || rows == 0 {
		t.Fatalf("the killed import left %d batches and %d rows, want some", batches, rows)
	}
}

// What a killed import left behind is in the way of no ordinary issue.
func TestNameOfAKilledImport(t *testing.T) {
	t.Parallel()
	path := create(t)
	killedImport(t, path, 800, "old")
	s := open(t, path)
	issue(t, s, admin.IssueRequest{Name: "old-0000001"})
	if batches, rows := unfinished(t, path); batches != 0 || rows != 0 {
		t.Errorf("left over: %d imports with %d keys, want none", batches, rows)
	}
	if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit: %v", report.Faults)
	}
}

// The attack: an import was broken off, because a row was wrong or the process was stopped.
// With a database shell its keys are made valid, and with them tokens that were never let in.
// None of the ways that need no pepper works.
func TestUnfinishedImportIsNotMadeValidBySQL(t *testing.T) {
	t.Parallel()
	for what, statements := range map[string][]string{
		"valid_at":        {`UPDATE batches SET valid_at = started_at WHERE valid_at IS NULL`},
		"another's seal":  {`UPDATE batches SET (started_at, actor, valid_at, seal_pepper, seal) = (SELECT started_at, actor, valid_at, seal_pepper, seal FROM batches WHERE valid_at IS NOT NULL) WHERE valid_at IS NULL`},
		"another's row":   {`UPDATE keys SET batch = (SELECT id FROM batches WHERE valid_at IS NOT NULL)`},
		"no batch at all": {`UPDATE keys SET batch = NULL`},
	} {
		t.Run(what, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			if _, err := importing.Import(t.Context(), manager(t, s), manyRows(2, "good", func(int) {}), importing.Options{}); err != nil {
				t.Fatal(err)
			}
			killedImport(t, path, 600, "bad")
			db := shell(t, path)
			var id []byte
			if err := db.QueryRow(`SELECT id FROM keys WHERE name = 'bad-0000001'`).Scan(&id); err != nil {
				t.Fatal(err)
			}
			for _, statement := range statements {
				mustExec(t, db, statement)
			}
			for _, r := range []*sqlite.Reader{s.Reader, openVerifier(t, path)} {
				k, err := r.Key(t.Context(), string(id))
				if !errors.Is(err, keys.ErrNotFound) && (err != nil || r.Peppers().CheckSeal(k) == nil) {
					t.Errorf("Key: got %v, %v, want ErrNotFound, or a broken seal", k, err)
				}
			}
		})
	}
}

// The attack: the row of a finished import is changed with a database shell, so that its
// seal no longer fits. Its keys cannot be found any more, nor be revoked; their names and
// tokens must not stay taken permanently. A token that was revoked, or ended by a rotation,
// does not become valid again by another import.
func TestForgedImportBlocksNothing(t *testing.T) {
	for what, statement := range map[string]string{
		"valid_at":       `UPDATE batches SET valid_at = valid_at + 1`,
		"no valid_at":    `UPDATE batches SET valid_at = NULL`,
		"the seal":       `UPDATE batches SET seal = randomblob(32)`,
		"its pepper":     `UPDATE batches SET seal_pepper = 'p0000000'`,
		"no date at all": `UPDATE batches SET valid_at = 9223372036854775807`,
	} {
		t.Run(what, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			m := manager(t, s)
			if _, err := importing.Import(t.Context(), m, manyRows(5, "old", func(int) {}), importing.Options{}); err != nil {
				t.Fatal(err)
			}
			page, err := s.List(t.Context(), keys.Query{Name: "old-0000005"})
			if err != nil || len(page.Keys) != 1 {
				t.Fatalf("List: got %d keys, %v", len(page.Keys), err)
			}
			if _, err := m.Rotate(t.Context(), listed(t, s, "old-0000004"), admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
				t.Fatal(err) // its token has ended then
			}
			mustRevoke(t, s, page.Keys[0].ID)
			mustExec(t, shell(t, path), statement)
			mustChanges(t, s, feed.Position{}) // as a guard does
			issue(t, s, admin.IssueRequest{Name: "old-0000001"})
			report, err := importing.Import(t.Context(), m, manyRows(5, "old", func(int) {}), importing.Options{Partial: true})
			if err != nil || report.Imported != 2 || report.Refused != 3 {
				t.Errorf("Import: got %+v, %v, want all but the name that was issued, and the tokens that were revoked and ended", report, err)
			}
			if got := countKeys(t, s, "old"); got != 3 {
				t.Errorf("after the import: got %d keys, want 3", got)
			}
			for _, f := range verifyAudit(t, s, nil).Faults {
				if f.KeyID != page.Keys[0].ID {
					t.Errorf("VerifyAudit: %v", f)
				}
			}
		})
	}
}

// listed is the id of the one key of a name.
func listed(t *testing.T, r store.Reader, name string) string {
	t.Helper()
	page, err := r.List(t.Context(), keys.Query{Name: name})
	if err != nil || len(page.Keys) != 1 {
		t.Fatalf("List(%q): got %d keys, %v, want one", name, len(page.Keys), err)
	}
	return page.Keys[0].ID
}

// The attack: an import is valid, and a backup from the middle of it is restored. A reader
// that knew the import as valid shows a key of it without having looked at the feed.
func TestKeyOfAnImportAfterARestoreFromItsMiddle(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "stays")
	_, err := importing.Import(t.Context(), manager(t, h.store), manyRows(1200, "import", func(row int) {
		if row == 702 {
			h.backup += ".during"
			backUp(t, h.store.Reader, h.backup)
		}
	}), importing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := openVerifier(t, h.path)
	id := listed(t, r, "import-0000001")
	if _, err := r.Key(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.restore(t, sqlite.RestoreOptions{})
	if k, err := r.Key(t.Context(), id); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Key after the restore: got %v, %v, want none", k, err)
	}
}

// A pepper that is retired takes no import with it.
func TestImportOutlivesItsPepper(t *testing.T) {
	path := create(t)
	s := open(t, path)
	if _, err := importing.Import(t.Context(), manager(t, s), manyRows(2, "good", func(int) {}), importing.Options{}); err != nil {
		t.Fatal(err)
	}
	old := s.Peppers().Current()
	addPepper(t, s)
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil || len(page.Keys) != 2 {
		t.Fatalf("List: got %d keys, %v, want 2", len(page.Keys), err)
	}
	for _, k := range page.Keys {
		if _, err := manager(t, s).Rotate(t.Context(), k.ID, admin.RotateRequest{Grace: new(time.Duration)}); err != nil {
			t.Fatal(err)
		}
	}
	retire(t, s, old)
	for _, r := range []*sqlite.Reader{s.Reader, openVerifier(t, path)} {
		if got := countKeys(t, r, "good"); got != 2 {
			t.Errorf("after their pepper was retired: got %d keys, want 2", got)
		}
	}
}

// A large import keeps no other process from revoking.
func TestImportBesideRevokes(t *testing.T) {
	path := create(t)
	n := rounds(4000, importing.MaxImport)
	cmd := child(t, "import", path)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d big 0", importVar, n))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, path, 3, 1_000_000)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.begin()
	var done waits
	last := lastLine(out, func(string) {})
	if err := json.Unmarshal([]byte(last), &done); err != nil || cmd.Wait() != nil {
		t.Fatalf("the import said %q", last)
	}
	took := time.Since(began)
	all, _ := w.end(true)
	if all.Failed != 0 {
		t.Errorf("%d changes beside the import failed, first %s", all.Failed, all.Error)
	}
	s := open(t, path)
	if got := countKeys(t, s, "big"); done.Rounds != n || got != n {
		t.Errorf("got %d keys, and %d were told, want %d", got, done.Rounds, n)
	}
	t.Logf("%d keys in %v, %d MB at the most, beside %d changes of 3 processes: the longest issue took %v, the longest revoke %v",
		n, took.Round(time.Millisecond), done.HighWaterKByte>>10, 2*all.Rounds, all.Issue.Round(time.Millisecond), all.Revoke.Round(time.Millisecond))
}

// A restore ends although servers change keys all the time.
func TestRestoreUnderUse(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "stays")
	w := startWriters(t, h.path, 3, 1_000_000)
	w.begin()
	done, err := h.prepare(t).Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"})
	if err != nil {
		t.Errorf("Run under use: got %+v, %v", done, err)
	}
	all, _ := w.end(true) // a key that the restore took away cannot be revoked
	if got := h.status(t, "stays"); got != keys.StatusActive {
		t.Errorf("the key of the backup: got %s, want active", got)
	}
	wholeChain(t, h.store.Reader)
	t.Logf("beside %d changes", 2*all.Rounds)
}

// A backup is restored while an import runs. The import fails, and no key of it is left in
// the restored key store, not even one that takes a name.
func TestRestoreDuringImport(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "stays")
	_, err := importing.Import(t.Context(), manager(t, h.store), manyRows(1200, "import", func(row int) {
		if row == 700 {
			h.restore(t, sqlite.RestoreOptions{})
		}
	}), importing.Options{})
	if !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Import: got %v, want a conflict", err)
	}
	var left int
	if err := shell(t, h.path).QueryRow(`SELECT count(*) FROM keys WHERE batch IS NOT NULL`).Scan(&left); err != nil || left != 0 {
		t.Errorf("after the import: %d keys of it are left, %v, want none", left, err)
	}
}

// A backup that was made in the middle of an import is restored while the same import still
// runs. It holds the batch and some of its keys, so the import could go on; and would then
// report keys that are not there.
func TestImportAfterARestoreOfItself(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "stays")
	_, err := importing.Import(t.Context(), manager(t, h.store), manyRows(2000, "import", func(row int) {
		switch row {
		case 702:
			h.backup += ".during"
			backUp(t, h.store.Reader, h.backup)
		case 1302:
			h.restore(t, sqlite.RestoreOptions{})
		}
	}), importing.Options{})
	if !errors.Is(err, keys.ErrConflict) || !strings.Contains(err.Error(), "keyctl restore") {
		t.Errorf("Import: got %v, want a conflict that names the restore", err)
	}
	noneOf(t, h.path, h.store)
}

// noneOf fails if a key of an import is left, valid or not.
func noneOf(t *testing.T, path string, s *sqlite.Store) {
	t.Helper()
	var left int
	if err := shell(t, path).QueryRow(`SELECT count(*) FROM keys WHERE batch IS NOT NULL`).Scan(&left); err != nil || left != 0 {
		t.Errorf("after the import: %d keys of it are left, %v, want none", left, err)
	}
	if report := verifyAudit(t, s, nil); len(report.Faults) != 0 {
		t.Errorf("VerifyAudit: %v", report.Faults)
	}
}

// The file whose lock the running import has is removed, and another program takes what the
// import wrote for something that a killed import left. The import says what happened, and
// nothing of a restore.
func TestImportWhoseLockFileIsRemoved(t *testing.T) {
	t.Parallel()
	path := create(t)
	s, other := open(t, path), open(t, path)
	_, err := importing.Import(t.Context(), manager(t, s), manyRows(1200, "import", func(row int) {
		if row == 702 {
			remove(t, path+"-import")
			issue(t, other, admin.IssueRequest{Name: "import-0000001"})
		}
	}), importing.Options{})
	if !errors.Is(err, keys.ErrConflict) || !strings.Contains(err.Error(), "another program") || strings.Contains(err.Error(), "restore") {
		t.Errorf("Import: got %v, want a conflict, and nothing of a restore", err)
	}
	noneOf(t, path, s)
}

// Some of the keys that a running import wrote are removed, and its batch is not: by a
// clean-up that was broken off, or in a database shell. What becomes valid must be all that
// is reported.
func TestImportThatLostKeys(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	_, err := importing.Import(t.Context(), manager(t, s), manyRows(1200, "import", func(row int) {
		if row == 1201 {
			db := shell(t, path)
			mustExec(t, db, `DELETE FROM secrets WHERE key_id = (SELECT id FROM keys WHERE name = 'import-0000007')`)
			mustExec(t, db, `DELETE FROM keys WHERE name = 'import-0000007'`)
			_ = db.Close()
		}
	}), importing.Options{})
	if !errors.Is(err, keys.ErrConflict) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Import: got %v, want a conflict that tells why", err)
	}
	noneOf(t, path, s)
}

// Whether an import runs is known by the lock of a file. Where that file is there and cannot
// be opened nothing is imported, and nothing is taken for left behind.
func TestImportWhoseLockFileCannotBeOpened(t *testing.T) {
	t.Parallel()
	path := create(t)
	killedImport(t, path, 600, "old")
	remove(t, path+"-import")
	mkdir(t, path+"-import") // it cannot be opened for writing, also not by root
	s := open(t, path)
	_, err := importing.Import(t.Context(), manager(t, s), manyRows(2, "new", func(int) {}), importing.Options{})
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), path+"-import") {
		t.Errorf("Import: got %v, want the file named", err)
	}
	_, err = manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "old-0000001"})
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), path+"-import") {
		t.Errorf("Issue: got %v, want the file named", err)
	}
	if batches, rows := unfinished(t, path); batches != 1 || rows == 0 {
		t.Errorf("left over: %d imports with %d keys, want them as they were", batches, rows)
	}
	issue(t, s, admin.IssueRequest{Name: "another"})
	remove(t, path+"-import")
	issue(t, s, admin.IssueRequest{Name: "old-0000001"})
}

// TestA19ImportThatCannotBeAnnounced: other processes could not be told of a part of an
// import. The import then fails like any other: nothing of it is valid, and it must not say
// that it was written.
func TestA19ImportThatCannotBeAnnounced(t *testing.T) {
	for how, spoil := range unannounced() {
		t.Run(how, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			commits := 0
			onCommit(t, s, func() {
				if commits++; commits == 1 {
					spoil(t, path)
				}
			})
			_, err := importing.Import(t.Context(), manager(t, s), manyRows(3, "late", func(int) {}), importing.Options{})
			if !errors.Is(err, keys.ErrUnavailable) || isWritten(err) || isMayBeLost(err) {
				t.Errorf("Import: got %v, want unavailable", err)
			}
			if commits != 1 {
				t.Errorf("got %d commits, want one, or this test shows nothing", commits)
			}
		})
	}
}

// What is made beside a key store that a group may use has the group's rights too: others of
// the group must be able to import, to take their turn, to count, and to hear of changes.
func TestFilesMadeLaterHaveTheDatabasesMode(t *testing.T) {
	t.Setenv("MCPKEYS_ALLOW_GROUP", "1")
	path := create(t)
	made := []string{"-import", "-lock", ".usage", ".usage-lock", "-epoch"}
	for _, suffix := range made {
		_ = os.Remove(path + suffix)
	}
	chmod(t, path, 0o660)
	if fixed, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now()); err != nil || !fixed {
		t.Fatalf("Mend: got %t, %v", fixed, err)
	}
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	if err := s.AddUse(t.Context(), used(id)); err != nil {
		t.Fatal(err)
	}
	unlock, err := sqlite.LockImports(s)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	for _, suffix := range made {
		if info, err := os.Stat(path + suffix); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%s: got %v, %v, want mode 0660", suffix, info, err)
		}
	}
}
