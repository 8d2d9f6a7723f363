package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// used is one call, now.
func used(id string) []usage.Use {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return []usage.Use{{
		KeyID: id, Last: []keys.LastUse{{Secret: 1, At: now, ClientIP: netip.MustParseAddr("192.0.2.1"), Agent: "curl/8.5.0"}},
		Counts: []usage.Count{{Hour: now.Truncate(time.Hour), Code: keys.CodeValid, Calls: 1}},
	}}
}

func countUse(t testing.TB, log store.UseLog, id string) {
	t.Helper()
	if err := log.AddUse(t.Context(), used(id)); err != nil {
		t.Fatalf("AddUse: %v", err)
	}
}

// total is how often a key was used, or why that is not known.
func total(t testing.TB, log store.UseLog, id string) (int64, error) {
	t.Helper()
	u, err := log.Usage(t.Context(), id, time.Time{})
	var sum int64
	for _, c := range u.Counts {
		sum += c.Calls
	}
	return sum, err
}

func wantTotal(t testing.TB, log store.UseLog, id string, want int64) {
	t.Helper()
	if got, err := total(t, log, id); err != nil || got != want {
		t.Errorf("Usage(%s): got %d calls, %v, want %d", id, got, err, want)
	}
}

// spoilt are ways in which a usage file can be of no use, and what is said of them.
var spoilt = map[string]struct {
	spoil func(t *testing.T, path string)
	want  string
}{
	"a directory":    {func(t *testing.T, path string) { remove(t, path); mkdir(t, path) }, "not a regular file"},
	"a journal":      {func(t *testing.T, path string) { write(t, path+"-journal", "junk") }, "-journal is not of the usage file"},
	"a text file":    {func(t *testing.T, path string) { write(t, path, strings.Repeat("hello ", 1000)) }, "damaged; remove it"},
	"an empty file":  {func(t *testing.T, path string) { write(t, path, "") }, "not a usage file"},
	"a cut-off file": {func(t *testing.T, path string) { truncate(t, path, 5000) }, "damaged; remove it"},
	"another database": {func(t *testing.T, path string) {
		remove(t, path)
		mustExec(t, shell(t, path), `CREATE TABLE theirs (x)`)
		chmod(t, path, 0o600)
	}, "not a usage file"},
	"a newer one":              {func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 3`) }, "schema 3"},
	"one that others may read": {func(t *testing.T, path string) { chmod(t, path, 0o640) }, "chmod 600"},
	"a view in it":             {func(t *testing.T, path string) { mustExec(t, shell(t, path), `CREATE VIEW keys AS SELECT 1`) }, `view "keys"`},
	"an earlier one":           {func(t *testing.T, path string) { mustExec(t, shell(t, path), `PRAGMA user_version = 1`) }, "earlier mcpkeys (schema 1; this one knows 2); remove it"},
	"no index in it":           {func(t *testing.T, path string) { mustExec(t, shell(t, path), `DROP INDEX heard_at`) }, "lacks 1"},
	"a view for a table": {func(t *testing.T, path string) {
		mustExec(t, shell(t, path), `DROP TABLE last_used; CREATE VIEW last_used AS SELECT CAST('x' AS BLOB) key_id, 1 secret, 1 at, '' client_ip, '' agent`)
	}, `view "last_used"`},
	"a trigger in it": {func(t *testing.T, path string) {
		mustExec(t, shell(t, path), `CREATE TRIGGER more AFTER INSERT ON hours BEGIN DELETE FROM last_used; END`)
	}, `trigger "more"`},
}

// TestA27SpoiltUsageStopsNothing: a damaged usage file, or a view or trigger planted in it,
// must not run a statement, or prevent that keys are checked, listed, issued and revoked.
// Commands that need the counts say what is wrong, and the file is not changed.
func TestA27SpoiltUsageStopsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range spoilt {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			c.spoil(t, path+".usage")
			before := snapshot(t, filepath.Dir(path))[filepath.Base(path)+".usage"]
			s := open(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			page, err := s.List(t.Context(), keys.Query{})
			if err != nil || len(page.Keys) != 1 || page.LastUsed != nil {
				t.Errorf("List: got %d keys, last uses %v, %v, want one key and nothing known", len(page.Keys), page.LastUsed, err)
			}
			_, listErr := s.List(t.Context(), keys.Query{UnusedBy: time.Now()})
			_, usageErr := s.Usage(t.Context(), id, time.Time{})
			for what, err := range map[string]error{"List of unused keys": listErr, "Usage": usageErr, "AddUse": s.AddUse(t.Context(), used(id))} {
				if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path+".usage") {
					t.Errorf("%s: got %v, want ErrUnavailable, %q and the file in it", what, err, c.want)
				}
			}
			if k, err := manager(t, s).Revoke(t.Context(), id, "gone"); err != nil || k.RevokedAt.IsZero() {
				t.Errorf("Revoke: got %v, %v, want it revoked", k, err)
			}
			if k, err := s.Key(t.Context(), id); err != nil || k.RevokedAt.IsZero() {
				t.Errorf("Key: got %v, %v, want it revoked", k, err)
			}
			if after := snapshot(t, filepath.Dir(path))[filepath.Base(path)+".usage"]; after != before {
				t.Errorf("the file was changed")
			}
		})
	}
}

// The file of an open store is removed, once with what belongs to it and once without:
// its log must not come back to life in the new one.
func TestRemovedUsageIsMadeAnew(t *testing.T) {
	for _, whole := range []bool{true, false} {
		path := create(t)
		s, other := open(t, path), open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
		countUse(t, s, id)
		countUse(t, other, id)
		remove(t, path+".usage")
		if whole {
			remove(t, path+".usage-wal")
			remove(t, path+".usage-shm")
		}
		if _, err := total(t, s, id); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "no usage file") {
			t.Errorf("Usage without a file: got %v", err)
		}
		if page, err := s.List(t.Context(), keys.Query{}); err != nil || page.LastUsed != nil {
			t.Errorf("List without a file: got last uses %v, %v, want nothing known", page.LastUsed, err)
		}
		if _, err := s.List(t.Context(), keys.Query{UnusedBy: time.Now()}); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("List of unused keys without a file: got %v, want ErrUnavailable", err)
		}
		countUse(t, s, id)
		wantTotal(t, s, id, 1)
		countUse(t, other, id)
		wantTotal(t, other, id, 2)
		info, err := os.Stat(path + ".usage")
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the new file: got %v, %v, want mode 0600", info, err)
		}
		if err := errors.Join(other.Close(), s.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		s = open(t, path)
		wantTotal(t, s, id, 2)
	}
}

// A new usage file has no earlier use. If all keys then counted as unused, the next clean-up
// would revoke them.
func TestNewUsageFileCallsNoKeyUnused(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "busy"}).Key.ID
	countUse(t, s, id)
	between := time.Now()
	remove(t, path+".usage")
	countUse(t, s, issue(t, s, admin.IssueRequest{Name: "other"}).Key.ID)
	_, err := s.List(t.Context(), keys.Query{UnusedBy: between})
	var invalid *keys.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "unused_for" || !strings.Contains(invalid.Reason, "ask for less") {
		t.Errorf("List of keys unused since before the file: got %v, want an InvalidError of unused_for", err)
	}
	if page, err := s.List(t.Context(), keys.Query{UnusedBy: between.Add(-time.Hour)}); err != nil || len(page.Keys) != 0 {
		t.Errorf("List since before there were keys: got %d, %v, want none", len(page.Keys), err)
	}
	if page, err := s.List(t.Context(), keys.Query{UnusedBy: time.Now()}); err != nil || len(page.Keys) != 2 {
		t.Errorf("List since now: got %d keys, %v, want both", len(page.Keys), err)
	}
	mustExec(t, shell(t, path+".usage"), `DELETE FROM counting`)
	if _, err := s.List(t.Context(), keys.Query{UnusedBy: time.Now()}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("List without a beginning: got %v, want ErrUnavailable", err)
	}
}

// The guarded server counts, though it may not write keys.
func TestVerifierCounts(t *testing.T) {
	path := create(t)
	o := &sqlite.Options{UsageFile: filepath.Join(t.TempDir(), "elsewhere")}
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	r, err := sqlite.OpenVerifier(path, o)
	if err != nil {
		t.Fatalf("OpenVerifier: %v", err)
	}
	countUse(t, r, id)
	wantTotal(t, r, id, 1)
	wantTotal(t, s, id, 0) // it looks in the usual place
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := names(snapshot(t, filepath.Dir(o.UsageFile))); !slices.Equal(got, []string{"elsewhere", "elsewhere-lock"}) {
		t.Errorf("got %q after Close, want the usage file and its lock", got)
	}
}

// Settings are per connection, and otherwise the driver's.
func TestUsageSettings(t *testing.T) {
	path := create(t)
	s := open(t, path)
	countUse(t, s, "AAAAAAAAAAAA")
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "busy_timeout": "5000", "trusted_schema": "0", "cell_size_check": "1",
		"mmap_size": "0", "application_id": "1835233397", "user_version": "2",
	} {
		var got string
		if err := s.UsageWriter().QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", pragma, got, err, want)
		}
	}
	if n := s.UsageWriter().Stats().MaxOpenConnections; n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

// TestA28PlantedUsageIsHarmless: rows are written with a database shell, to send a
// control sequence to a terminal, to break every answer with a date, or to
// make every later flush fail.
func TestA28PlantedUsageIsHarmless(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	db := shell(t, path+".usage")
	const century = int64(100 * 365 * 24 * time.Hour / time.Microsecond)
	mustExec(t, db, `INSERT INTO last_used VALUES (?, 1, ?, ?, ?)`, []byte(id), century/2, "\x1b[2J", "\x1b]0;owned\a")
	mustExec(t, db, `INSERT INTO last_used VALUES (?, 2, 9223372036854775807, '', '')`, []byte(id))
	mustExec(t, db, `INSERT INTO last_used VALUES (?, 3, -9223372036854775808, '', '')`, []byte(id))
	now := time.Now().UTC().Truncate(time.Hour)
	mustExec(t, db, `INSERT INTO series VALUES (1, ?, 'valid', '')`, []byte(id))
	hour := fmt.Sprintf("h%02d", now.Hour())
	mustExec(t, db, `INSERT INTO hours (day, series, `+hour+`) VALUES (?, 1, 9223372036854775807)`, now.Unix()/86400)
	for _, day := range []int64{math.MinInt64, -1, 2_932_897, math.MaxInt64} {
		mustExec(t, db, `INSERT INTO hours (day, series, h00) VALUES (?, 1, 1)`, day)
		mustExec(t, db, `INSERT INTO days VALUES (?, 1, 1)`, day)
	}
	mustExec(t, db, `INSERT INTO hours (day, series, h00) VALUES (30000, 1, -5)`)
	if err := s.AddUse(t.Context(), []usage.Use{{KeyID: id, Counts: []usage.Count{{Hour: now, Code: keys.CodeValid, Calls: 9}}}}); err != nil {
		t.Fatalf("AddUse onto the highest number: %v", err)
	}
	u, err := s.Usage(t.Context(), id, time.Time{})
	if err != nil || len(u.Last) != 1 || len(u.Counts) != 1 || u.Counts[0].Calls != 9e18 {
		t.Fatalf("Usage: got %+v, %v, want one use and one count of 9e18", u, err)
	}
	if l := u.Last[0]; l.Agent != "" || l.ClientIP.IsValid() || l.At.Year() != 2019 {
		t.Errorf("Usage: got last use %+v, want a time and nothing else", l)
	}
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil || len(page.LastUsed) != 1 || page.LastUsed[id] != u.Last[0] {
		t.Errorf("List: got %v, %v, want the same", page.LastUsed, err)
	}
}

// countRole counts uses of one key.
func countRole(path string) error {
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for range childRounds {
		if err := r.AddUse(context.Background(), used("AAAAAAAAAAAA")); err != nil {
			return err
		}
	}
	return r.Close()
}

// Two processes that only check keys, and this one, count at once, also while the file
// is being made.
func TestProcessesLoseNoUse(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	remove(t, path+".usage")
	var waits []func() error
	for range 2 {
		cmd := child(t, "count", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewScanner(out).Scan()
		waits = append(waits, cmd.Wait)
	}
	for range childRounds {
		countUse(t, s, "AAAAAAAAAAAA")
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Fatalf("the other process: %v", err)
		}
	}
	wantTotal(t, s, "AAAAAAAAAAAA", 3*childRounds)
}

// Counting waits for no change of a key, and holds none up.
func TestUsageAndKeysDoNotWaitForEachOther(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	db := shell(t, path)
	mustExec(t, db, `BEGIN IMMEDIATE`) // what waits for it fails, because it is held until the end
	countUse(t, s, id)
	mustExec(t, db, `ROLLBACK`)
	db = shell(t, path+".usage")
	mustExec(t, db, `BEGIN IMMEDIATE`)
	if _, err := manager(t, s).Revoke(t.Context(), id, "gone"); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	wantTotal(t, s, id, 1)
	mustExec(t, db, `ROLLBACK`)
}
