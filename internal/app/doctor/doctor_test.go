package doctor_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/dev/scale"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// patient is a key store with two keys, one of them revoked.
type patient struct {
	db, pepper string
	issued     admin.Issued
}

func newPatient(t *testing.T) patient {
	t.Helper()
	p := patient{db: filepath.Join(t.TempDir(), "keys.db"), pepper: filepath.Join(t.TempDir(), "pepper")}
	if err := sqlite.Create(p.db, p.options()); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(p.db, p.options())
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ended", "ci"} {
		if p.issued, err = m.Issue(t.Context(), admin.IssueRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if name == "ended" {
			if _, err := m.Revoke(t.Context(), p.issued.Key.ID, "done"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p patient) options() *sqlite.Options { return &sqlite.Options{PepperFile: p.pepper} }

func nothing(string) (string, error) { return "", exec.ErrNotFound }

// examine returns the worst finding of each check.
func (p patient) examine(t *testing.T, change func(*doctor.Subject)) (map[string]doctor.Finding, doctor.State) {
	t.Helper()
	s := doctor.Subject{DB: p.db, Options: p.options(), Programs: nothing, Now: time.Now()}
	if change != nil {
		change(&s)
	}
	found := map[string]doctor.Finding{}
	worst, err := doctor.Examine(t.Context(), s, func(f doctor.Finding) {
		if old, ok := found[f.Check]; !ok || old.State == doctor.OK || f.State == doctor.Problem {
			found[f.Check] = f
		}
		if keys.HoldsToken(f.Says + f.Fix) {
			t.Errorf("%s: a finding holds a key", f.Check)
		}
	})
	if err != nil {
		t.Fatalf("Examine: %v", err)
	}
	return found, worst
}

func TestSoundStore(t *testing.T) {
	found, worst := newPatient(t).examine(t, nil)
	for check, f := range found {
		if f.State != doctor.OK {
			t.Errorf("%s: got %s: %s", check, f.State, f.Says)
		}
	}
	if worst != doctor.OK {
		t.Errorf("Examine: got %s", worst)
	}
}

func (p patient) sql(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", p.db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// Each problem is found by its check, with a sentence that says where.
func TestTroubles(t *testing.T) {
	for _, tc := range []struct {
		name  string
		do    func(t *testing.T, p patient)
		check string
		state doctor.State
		says  string
	}{
		{"no store", func(t *testing.T, p patient) { must(t, os.Remove(p.db)) }, "database", doctor.Problem, "no key store at"},
		{"a readable database", func(t *testing.T, p patient) { must(t, os.Chmod(p.db, 0o640)) }, "files", doctor.Problem, "keys.db (mode 0640)"},
		{"a readable database stays unopened", func(t *testing.T, p patient) { must(t, os.Chmod(p.db, 0o640)) }, "database", doctor.Problem, "it was not opened"},
		{"a readable lock of imports", func(t *testing.T, p patient) {
			must(t, os.WriteFile(p.db+"-import", nil, 0o600))
			must(t, os.Chmod(p.db+"-import", 0o666))
		}, "files", doctor.Problem, "-import (mode 0666)"},
		{"a readable lock of the usage file", func(t *testing.T, p patient) {
			must(t, os.WriteFile(p.db+".usage-lock", nil, 0o600))
			must(t, os.Chmod(p.db+".usage-lock", 0o666))
		}, "files", doctor.Problem, ".usage-lock (mode 0666)"},
		{"a readable pepper", func(t *testing.T, p patient) { must(t, os.Chmod(p.pepper, 0o604)) }, "files", doctor.Problem, "pepper (mode 0604)"},
		{"an open directory", func(t *testing.T, p patient) { must(t, os.Chmod(filepath.Dir(p.db), 0o777)) }, "directory", doctor.Problem, "mode 0777"},
		{"no ballast", func(t *testing.T, p patient) { must(t, os.Remove(p.db+".ballast")) }, "ballast", doctor.Warning, "is missing"},
		{"a hollow ballast", func(t *testing.T, p patient) {
			must(t, os.Remove(p.db+".ballast"))
			must(t, os.WriteFile(p.db+".ballast", nil, 0o600))
			must(t, os.Truncate(p.db+".ballast", 8<<20))
		}, "ballast", doctor.Warning, "does not occupy"},
		{"no epoch", func(t *testing.T, p patient) { must(t, os.Remove(p.db+"-epoch")) }, "epoch", doctor.Problem, "is missing"},
		{"a cut epoch", func(t *testing.T, p patient) { must(t, os.Truncate(p.db+"-epoch", 100)) }, "epoch", doctor.Problem, "cut short"},
		{"a second name", func(t *testing.T, p patient) { must(t, os.Link(p.db, p.db+"2")) }, "identity", doctor.Problem, "hard links"},
		{"a left-over journal", func(t *testing.T, p patient) {
			must(t, os.WriteFile(p.db+"-journal", []byte("journal"), 0o600))
		}, "identity", doctor.Problem, "move it away"},
		{"an older database", func(t *testing.T, p patient) {
			p.sql(t, `UPDATE meta SET value = value - 1 WHERE name = 'change_seq'`)
		}, "epoch", doctor.Problem, "1 change was acknowledged but not in the database"},
		{"an epoch of something else", func(t *testing.T, p patient) {
			must(t, os.WriteFile(p.db+"-epoch", make([]byte, 4096), 0o600))
		}, "epoch", doctor.Problem, "another kind of file"},
		{"a big log", func(t *testing.T, p patient) { must(t, os.Truncate(p.db+"-wal", 300<<20)) }, "log", doctor.Warning, "300.0 MiB"},
		{"a planted trigger", func(t *testing.T, p patient) {
			p.sql(t, `CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END`)
		}, "database", doctor.Problem, `trigger "undo"`},
		{"a damaged page", func(t *testing.T, p patient) { damage(t, p.db) }, "database", doctor.Problem, "damaged"},
		{"no WAL", func(t *testing.T, p patient) { p.sql(t, `PRAGMA journal_mode = DELETE`) }, "settings", doctor.Problem, "journal_mode is delete"},
		{"no pepper", func(t *testing.T, p patient) { must(t, os.Remove(p.pepper)) }, "pepper", doctor.Problem, "restore it from your backup"},
		{"another pepper", func(t *testing.T, p patient) {
			other := newPatient(t)
			text, err := os.ReadFile(other.pepper)
			must(t, err)
			must(t, os.WriteFile(p.pepper, text, 0o600))
		}, "pepper", doctor.Problem, "restore the file from a backup"},
		{"a scope that was edited", func(t *testing.T, p patient) { p.sql(t, `UPDATE keys SET scopes = '["*"]' WHERE name = 'ci'`) }, "keys", doctor.Problem, "1 key was changed outside mcpkeys"},
		{"a revocation that was undone", func(t *testing.T, p patient) { p.sql(t, `UPDATE keys SET revoked_at = NULL WHERE name = 'ended'`) }, "keys", doctor.Problem, "1 key was changed outside mcpkeys"},
		{"an audit row that was edited", func(t *testing.T, p patient) { p.sql(t, `UPDATE audit SET actor = 'mallory' WHERE seq = 2`) }, "audit", doctor.Problem, "audit row 2"},
		{"an audit row that was removed", func(t *testing.T, p patient) { p.sql(t, `DELETE FROM audit WHERE seq = 2`) }, "audit", doctor.Problem, "audit row 2"},
		{"an audit log that is gone", func(t *testing.T, p patient) { p.sql(t, `DELETE FROM audit`) }, "audit", doctor.Problem, "more: 'keyctl audit verify')"},
		{"a usage file of something else", func(t *testing.T, p patient) {
			must(t, os.WriteFile(p.db+".usage", []byte(strings.Repeat("x", 5000)), 0o600))
		}, "usage", doctor.Warning, "usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPatient(t)
			tc.do(t, p)
			found, worst := p.examine(t, nil)
			f := found[tc.check]
			if f.State != tc.state || !strings.Contains(f.Says, tc.says) {
				t.Errorf("%s: got %s %q, want %s and %q", tc.check, f.State, f.Says, tc.state, tc.says)
			}
			if worst != tc.state {
				t.Errorf("Examine: got %s, want %s", worst, tc.state)
			}
		})
	}
}

// hinted runs the command that a fix names.
func hinted(t *testing.T, fix string) {
	t.Helper()
	_, command, _ := strings.Cut(fix, "run '")
	command, _, _ = strings.Cut(command, "'")
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); command == "" || err != nil {
		t.Fatalf("fix %q: %v: %s", fix, err, out)
	}
}

// If something else than a file has the name of a file of the store, Examine says what it is.
// No fix changes a mode then: for a link that would change the mode of another file.
func TestWhatIsNoFile(t *testing.T) {
	for _, name := range []string{"-wal", "-shm", "-epoch", ".usage", ".usage-wal", ".usage-shm", ".ballast", "-lock", "-import", "-slots", ".usage-lock"} {
		for kind, put := range map[string]func(path, outside string) error{
			"a symbolic link": func(path, outside string) error { return os.Symlink(outside, path) },
			"a directory":     func(path, _ string) error { return os.Mkdir(path, 0o755) },
			"a named pipe":    func(path, _ string) error { return syscall.Mkfifo(path, 0o644) },
		} {
			if name == ".usage" && kind == "a symbolic link" {
				continue // see TestUsageFileElsewhere
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				p, outside := newPatient(t), filepath.Join(t.TempDir(), "outside")
				must(t, os.WriteFile(outside, nil, 0o644))
				must(t, os.Chmod(outside, 0o644))
				_ = os.Remove(p.db + name)
				must(t, put(p.db+name, outside))
				found, worst := p.examine(t, nil)
				f := found["kinds"]
				if !strings.Contains(f.Says, p.db+name+" is "+kind+";") || worst == doctor.OK {
					t.Errorf("kinds: got %+v, worst %s, want it called %s", f, worst, kind)
				}
				for check, f := range found {
					if strings.Contains(f.Fix+f.Says, "chmod") {
						t.Errorf("%s: got %q, want no mode changed", check, f.Fix)
					}
				}
				hinted(t, f.Fix)
				if found, _ := p.examine(t, nil); found["kinds"].Says != "" {
					t.Errorf("kinds after %q: got %+v, want nothing", f.Fix, found["kinds"])
				}
				if info, err := os.Stat(outside); err != nil || info.Mode() != 0o644 {
					t.Errorf("what the link leads to: got %v, %v, want it untouched", info, err)
				}
			})
		}
	}
	p := newPatient(t)
	must(t, os.Remove(p.db+"-lock"))
	must(t, os.Symlink("nowhere", p.db+"-lock"))
	must(t, os.Mkdir(p.db+"-import", 0o700))
	found, _ := p.examine(t, nil)
	hinted(t, found["kinds"].Fix)
	if found, _ := p.examine(t, nil); found["kinds"].Says != "" {
		t.Errorf("kinds, a link to nothing and a directory: got %+v after the fix, want nothing", found["kinds"])
	}
}

// The usage file may be a link to another disk. The mode of the target is checked.
func TestUsageFileElsewhere(t *testing.T) {
	p, elsewhere := newPatient(t), filepath.Join(t.TempDir(), "usage")
	must(t, os.Rename(p.db+".usage", elsewhere))
	must(t, os.Symlink(elsewhere, p.db+".usage"))
	if found, _ := p.examine(t, nil); found["kinds"].Says != "" || found["files"].State != doctor.OK || found["usage"].State != doctor.OK {
		t.Errorf("Examine: got %+v, %+v, %+v, want nothing wrong", found["kinds"], found["files"], found["usage"])
	}
	must(t, os.Chmod(elsewhere, 0o644))
	found, _ := p.examine(t, nil)
	f := found["files"]
	if f.State != doctor.Problem || !strings.Contains(f.Says, ".usage (a symbolic link to "+elsewhere+", mode 0644)") {
		t.Errorf("files: got %+v, want what the link leads to", f)
	}
	hinted(t, f.Fix)
	if found, _ := p.examine(t, nil); found["files"].State != doctor.OK || found["usage"].State != doctor.OK {
		t.Errorf("after %q: got %+v, %+v, want nothing wrong", f.Fix, found["files"], found["usage"])
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// damage overwrites the middle of the database.
func damage(t *testing.T, db string) {
	t.Helper()
	f, err := os.OpenFile(db, os.O_WRONLY, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	for at := int64(2 * 4096); at < info.Size(); at += 4096 {
		_, err = f.WriteAt([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"), at)
		must(t, err)
	}
	must(t, f.Close())
}

func TestPepperBesideTheDatabase(t *testing.T) {
	p := newPatient(t)
	beside := filepath.Join(filepath.Dir(p.db), "pepper")
	must(t, os.Rename(p.pepper, beside))
	p.pepper = beside
	if found, _ := p.examine(t, nil); found["pepper"].State != doctor.Warning || found["pepper"].Fix == "" {
		t.Errorf("pepper: got %v, want a warning", found["pepper"])
	}
}

func TestClock(t *testing.T) {
	p := newPatient(t)
	found, _ := p.examine(t, func(s *doctor.Subject) { s.Now = s.Now.Add(-3 * time.Hour) })
	if f := found["clock"]; f.State != doctor.Warning || !strings.Contains(f.Says, "behind the newest audit row") {
		t.Errorf("clock: got %v, want a warning", f)
	}
}

// Programs on PATH that a user may call by mistake.
func TestPrograms(t *testing.T) {
	p, dir := newPatient(t), t.TempDir()
	other, old, young := filepath.Join(dir, "keyctl"), filepath.Join(dir, "old"), filepath.Join(dir, "young")
	for path, says := range map[string]string{other: "", old: "3.40.1 2022-12-28", young: "3.51.3 2026-03-01"} {
		must(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o700))
	}
	for _, tc := range []struct {
		keyctl, shell, self string
		want                doctor.State
	}{
		{other, "", other, doctor.OK},
		{other, "", old, doctor.Warning},
		{"", old, "", doctor.Warning},
		{"", young, "", doctor.OK},
		{"", "", "", doctor.OK},
	} {
		found, _ := p.examine(t, func(s *doctor.Subject) {
			s.Self = tc.self
			s.Programs = func(name string) (string, error) {
				if path := map[string]string{"keyctl": tc.keyctl, "sqlite3": tc.shell}[name]; path != "" {
					return path, nil
				}
				return "", exec.ErrNotFound
			}
		})
		if f := found["programs"]; f.State != tc.want {
			t.Errorf("programs %+v: got %s %q, want %s", tc, f.State, f.Says, tc.want)
		}
	}
}

// Examine changes nothing, also in a damaged store.
func TestExamineChangesNothing(t *testing.T) {
	p := newPatient(t)
	must(t, os.Remove(p.db+".ballast"))
	must(t, os.Remove(p.db+"-epoch"))
	before := listing(t, filepath.Dir(p.db))
	p.examine(t, nil)
	if after := listing(t, filepath.Dir(p.db)); after != before {
		t.Errorf("files before: %s\nafter: %s", before, after)
	}
}

// If the log of a key store was removed while a program uses it, Examine reports it and makes
// no new log, which would hide the problem.
func TestExamineMakesNoLog(t *testing.T) {
	p := newPatient(t)
	s, err := sqlite.Open(p.db, p.options())
	must(t, err)
	defer func() { _ = s.Close() }()
	must(t, os.Remove(p.db+"-wal"))
	before := listing(t, filepath.Dir(p.db))
	for range 2 {
		found, _ := p.examine(t, nil)
		if f := found["identity"]; f.State != doctor.Problem || !strings.Contains(f.Says, "-wal was removed") {
			t.Errorf("identity: got %+v, want the removed log", f)
		}
		for _, check := range []string{"epoch", "database", "settings", "pepper", "keys"} {
			if f, told := found[check]; told {
				t.Errorf("%s: got %+v, want the database unopened", check, f)
			}
		}
	}
	if after := listing(t, filepath.Dir(p.db)); after != before {
		t.Errorf("files before: %s\nafter: %s", before, after)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "keys.db.usage-") { // SQLite makes these for a reader
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestExamineEndsWithItsContext(t *testing.T) {
	p := newPatient(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := doctor.Examine(ctx, doctor.Subject{DB: p.db, Options: p.options(), Programs: nothing}, func(doctor.Finding) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Examine: got %v, want context.Canceled", err)
	}
}

// Keys with the hash of another system are reported until they are revoked.
func TestImportedKeys(t *testing.T) {
	p := newPatient(t)
	s, err := sqlite.Open(p.db, p.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, err := admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	row := importing.Row{Key: keys.NewSecret("api01.short-one"), IssueRequest: admin.IssueRequest{Name: "old"}}
	if _, err := importing.Import(t.Context(), m, func(yield func(importing.Row, error) bool) { yield(row, nil) }, importing.Options{}); err != nil {
		t.Fatal(err)
	}
	k, err := admin.Resolve(t.Context(), m, "old")
	if err != nil {
		t.Fatal(err)
	}
	found, _ := p.examine(t, nil)
	if f := found["imported"]; f.State != doctor.Warning || !strings.Contains(f.Says, k.ID+" (argon2id)") || f.Fix == "" {
		t.Errorf("imported: got %+v, want a warning that names %s", f, k.ID)
	}
	if _, err := m.Revoke(t.Context(), k.ID, ""); err != nil {
		t.Fatal(err)
	}
	found, _ = p.examine(t, nil)
	if f, told := found["imported"]; told {
		t.Errorf("imported, all revoked: got %+v, want nothing", f)
	}
}

// An interrupted import leaves keys that are not valid. Examine reports them, and its fix
// works.
func TestUnfinishedImport(t *testing.T) {
	p := newPatient(t)
	s, err := sqlite.Open(p.db, p.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, err := admin.NewLocal(s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	examine := func() (doctor.Finding, bool) {
		found, _ := p.examine(t, nil)
		f, told := found["imports"]
		return f, told
	}
	rows := func(name string) func(func(importing.Row, error) bool) {
		return func(yield func(importing.Row, error) bool) {
			row := importing.Row{Line: 1, Key: keys.NewSecret("acme_" + name + "_3ZJ9vYkQ0hW2mRbT7xLsN4")}
			row.Name = name
			yield(row, nil)
		}
	}
	if _, err := importing.Import(t.Context(), m, rows("good"), importing.Options{}); err != nil {
		t.Fatal(err)
	}
	if f, told := examine(); told {
		t.Errorf("imports, all valid: got %+v, want nothing", f)
	}
	db, err := sql.Open("sqlite3", "file:"+p.db) // to remove the last step of the import
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(`UPDATE batches SET valid_at = NULL`); err != nil {
		t.Fatal(err)
	}
	if f, _ := examine(); f.State != doctor.Warning || !strings.Contains(f.Says, "1 key is not valid") || !strings.Contains(f.Fix, "keyctl import") {
		t.Errorf("imports, one broken off: got %+v, want a warning", f)
	}
	if _, err := db.Exec(`UPDATE batches SET valid_at = started_at`); err != nil {
		t.Fatal(err)
	}
	if f, _ := examine(); f.State != doctor.Problem {
		t.Errorf("imports, one made valid by SQL: got %+v, want it bad", f)
	}
	if _, err := db.Exec(`UPDATE batches SET valid_at = NULL`); err != nil {
		t.Fatal(err)
	}
	if _, err := importing.Import(t.Context(), m, rows("next"), importing.Options{}); err != nil {
		t.Fatal(err)
	}
	if f, told := examine(); told {
		t.Errorf("imports, after the next one: got %+v, want nothing", f)
	}
}

// A pepper that no key needs any more, and a needed one that is missing.
func TestPeppers(t *testing.T) {
	p := newPatient(t)
	s, err := sqlite.Open(p.db, p.options())
	must(t, err)
	m, err := admin.NewLocal(s, "test", nil)
	must(t, err)
	old := s.Peppers().Current()
	_, err = m.AddPepper(t.Context())
	must(t, err)
	if found, _ := p.examine(t, nil); found["peppers"].State != doctor.OK || !strings.Contains(found["peppers"].Says, old+" (old, needed by 1 key)") {
		t.Errorf("peppers: got %v, want that the old one is needed", found["peppers"])
	}
	_, err = m.Revoke(t.Context(), p.issued.Key.ID, "done")
	must(t, err)
	must(t, s.Close())
	if found, _ := p.examine(t, nil); found["peppers"].State != doctor.Warning || !strings.Contains(found["peppers"].Fix, "pepper retire "+old) {
		t.Errorf("peppers: got %v, want what to retire", found["peppers"])
	}
	p.sql(t, `UPDATE secrets SET pepper_id = 'pGone00' WHERE key_id IN (SELECT id FROM keys WHERE name = 'ci')`)
	p.sql(t, `UPDATE keys SET revoked_at = NULL WHERE name = 'ci'`)
	if found, _ := p.examine(t, nil); found["peppers"].State != doctor.Problem || !strings.Contains(found["peppers"].Says, "1 key needs pepper pGone00") {
		t.Errorf("peppers: got %v, want that a needed one is missing", found["peppers"])
	}
}

// listed counts the pages of keys that are read.
type listed struct {
	store.Reader
	pages int
}

func (l *listed) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	l.pages++
	return l.Reader.List(ctx, q)
}

// All keys are read once, for the comparison with the log and for the seals, whether they are
// sound or not. Only where the log is damaged, and was compared with no key, they are read for
// their seals alone.
func TestKeysAreReadOnce(t *testing.T) {
	db := filepath.Join(t.TempDir(), "keys.db")
	if err := scale.Fill(t.Context(), db, 2*keys.MaxLimit+1, time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, c := range []struct {
		what, damage, want string
	}{
		{"sound", "", "401 keys, every seal matches"},
		{"a changed key", `UPDATE keys SET scopes = '["*"]' WHERE id = (SELECT min(id) FROM keys)`, "1 key was changed outside mcpkeys"},
		{"a changed log", `UPDATE audit SET actor = 'x' WHERE seq = 7`, "1 key was changed outside mcpkeys"},
	} {
		if c.damage != "" {
			shell, err := sql.Open("sqlite3", "file:"+db)
			if err != nil {
				t.Fatal(err)
			}
			_, err = shell.ExecContext(t.Context(), c.damage)
			if err := errors.Join(err, shell.Close()); err != nil {
				t.Fatal(err)
			}
		}
		r := &listed{Reader: s}
		var says []string
		doctor.ExamineKeys(t.Context(), r, time.Now(), func(f doctor.Finding) { says = append(says, f.Check+": "+f.Says) })
		if r.pages != 3 {
			t.Errorf("%s: got %d pages, want 3: each key once", c.what, r.pages)
		}
		if text := strings.Join(says, "\n"); !strings.Contains(text, c.want) {
			t.Errorf("%s: no %q in\n%s", c.what, c.want, text)
		}
	}
}
