package doctor

import (
	"context"
	"os/exec"
	"regexp"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// sqliteVersion checks the version of SQLite that is built in. The program refuses to open a
// database if it is too old.
func (e *examination) sqliteVersion() {
	if v := sqlite.Version(); sqlite.TooOld(v) {
		e.bad("sqlite", "build this program with the driver that go.mod names", "SQLite %s is built in; versions before %s can corrupt a database that two connections use", v, sqlite.LeastVersion)
	} else {
		e.ok("sqlite", "SQLite %s is built in", v)
	}
}

// database reads every page of the database, without a pepper.
func (e *examination) database() {
	s, err := sqlite.Examine(e.ctx, e.places.Database)
	if err != nil {
		e.problem("database", err)
		return
	}
	e.ok("database", "schema %d, every page sound: %s, %s, %s", s.Schema,
		wording.Counted(int(s.Keys), "key", "keys"), wording.Counted(int(s.Events), "audit row", "audit rows"), wording.Bytes(s.Size))
}

func (e *examination) settings() {
	if err := sqlite.CheckSettings(e.ctx, e.places.Database); err != nil {
		e.problem("settings", err)
		return
	}
	e.ok("settings", "changes are on the disk before they are acknowledged")
}

// programs looks for another program with the name keyctl, and for a database shell that is
// too old for a database in use.
func (e *examination) programs() {
	look := e.Programs
	if look == nil {
		look = exec.LookPath
	}
	good := true
	if other, err := look("keyctl"); err == nil && !shell.Same(other, e.Self) {
		good = false
		e.warn("programs", "call this program by its path, or install it as mcpkeys", "the keyctl on PATH is another program, %s; Linux keyutils has one of that name", other)
	}
	if found, err := look("sqlite3"); err == nil {
		if v := shellVersion(e.ctx, found); v != "" && sqlite.TooOld(v) {
			good = false
			e.warn("programs", "use it only on copies that 'keyctl backup' makes", "the database shell on PATH, %s, is SQLite %s, which can corrupt a database that servers have open", found, v)
		}
	}
	if good {
		e.ok("programs", "no other keyctl and no old database shell is on PATH")
	}
}

var versionNumber = regexp.MustCompile(`^\d+\.\d+\.\d+\b`)

// shellVersion asks the shell for its version; empty if it does not say.
func shellVersion(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	return versionNumber.FindString(string(out))
}
