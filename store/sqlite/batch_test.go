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

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// importVar tells an importing child what to do: how many rows, the beginning of their
// names, and at which row it kills itself, 0 for at none.
const importVar = "MCPKEYS_TEST_IMPORT"

// manyRows makes rows with tokens of their own. At is called before each.
func manyRows(n int, names string, at func(row int)) iter.Seq2[keys.ImportRow, error] {
	return func(yield func(keys.ImportRow, error) bool) {
		for i := 1; i <= n; i++ {
			at(i)
			row := keys.ImportRow{
				Line: i, Key: keys.NewSecret(fmt.Sprintf("acme_%s_%07d_3ZJ9vYkQ0hW2mRbT7xLsN4", names, i)),
				IssueRequest: keys.IssueRequest{Name: fmt.Sprintf("%s-%07d", names, i), Scopes: []string{"tools:get_*"}, Audience: []string{"weather"}},
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
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	m, err := keys.NewManager(s, "child", nil)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	report, err := m.Import(context.Background(), manyRows(n, names, func(row int) {
		if row == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}), keys.ImportOptions{})
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
func countKeys(t testing.TB, r keys.Reader, names string) (n int) {
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
	if testing.Short() {
		t.Skip("takes long, and shows the race detector nothing that others do not")
	}
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
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
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
		for _, one := range []keys.Reader{s, r} {
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
	report, err := manager(t, s).Import(t.Context(), manyRows(n, names, func(int) {}), keys.ImportOptions{})
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
	path := create(t)
	killedImport(t, path, 800, "old")
	s := open(t, path)
	issue(t, s, keys.IssueRequest{Name: "old-0000001"})
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
	for what, statements := range map[string][]string{
		"valid_at":        {`UPDATE batches SET valid_at = started_at WHERE valid_at IS NULL`},
		"another's seal":  {`UPDATE batches SET (started_at, actor, valid_at, seal_pepper, seal) = (SELECT started_at, actor, valid_at, seal_pepper, seal FROM batches WHERE valid_at IS NOT NULL) WHERE valid_at IS NULL`},
		"another's row":   {`UPDATE keys SET batch = (SELECT id FROM batches WHERE valid_at IS NOT NULL)`},
		"no batch at all": {`UPDATE keys SET batch = NULL`},
	} {
		t.Run(what, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			if _, err := manager(t, s).Import(t.Context(), manyRows(2, "good", func(int) {}), keys.ImportOptions{}); err != nil {
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

// A pepper that is retired takes no import with it.
func TestImportOutlivesItsPepper(t *testing.T) {
	path := create(t)
	s := open(t, path)
	if _, err := manager(t, s).Import(t.Context(), manyRows(2, "good", func(int) {}), keys.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	old := s.Peppers().Current()
	addPepper(t, s)
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil || len(page.Keys) != 2 {
		t.Fatalf("List: got %d keys, %v, want 2", len(page.Keys), err)
	}
	for _, k := range page.Keys {
		if _, err := manager(t, s).Rotate(t.Context(), k.ID, keys.RotateRequest{Grace: new(time.Duration)}); err != nil {
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
	n := rounds(4000, keys.MaxImport)
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
	h := newHistory(t, "stays")
	_, err := manager(t, h.store).Import(t.Context(), manyRows(1200, "import", func(row int) {
		if row == 700 {
			h.restore(t, sqlite.RestoreOptions{})
		}
	}), keys.ImportOptions{})
	if !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Import: got %v, want a conflict", err)
	}
	var left int
	if err := shell(t, h.path).QueryRow(`SELECT count(*) FROM keys WHERE batch IS NOT NULL`).Scan(&left); err != nil || left != 0 {
		t.Errorf("after the import: %d keys of it are left, %v, want none", left, err)
	}
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
			_, err := manager(t, s).Import(t.Context(), manyRows(3, "late", func(int) {}), keys.ImportOptions{})
			if !errors.Is(err, keys.ErrUnavailable) || isWritten(err) || isMayBeLost(err) {
				t.Errorf("Import: got %v, want unavailable", err)
			}
			if commits != 1 {
				t.Errorf("got %d commits, want one, or this test shows nothing", commits)
			}
		})
	}
}
