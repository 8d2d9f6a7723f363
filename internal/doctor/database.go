package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// sqliteVersion is that of the library in this program, which refuses to open anything
// if it is too old.
func (e *examination) sqliteVersion() {
	if v := sqlite.Version(); tooOld(v) {
		e.bad("sqlite", "build this program with the driver that go.mod names", "SQLite %s is built in: before %s, two connections at once could corrupt a database", v, leastSQLite)
	} else {
		e.ok("sqlite", "SQLite %s is built in", v)
	}
}

// leastSQLite is the first version in which concurrent checkpoints of two connections
// cannot corrupt a database in WAL mode.
const leastSQLite = "3.51.3"

// tooOld compares numbers, part by part.
func tooOld(version string) bool {
	have, want := strings.Split(version, "."), strings.Split(leastSQLite, ".")
	for i := range want {
		if i >= len(have) {
			return true
		}
		h, err := strconv.Atoi(have[i])
		w, _ := strconv.Atoi(want[i]) // a constant of ours
		if err != nil || h != w {
			return err != nil || h < w
		}
	}
	return false
}

// database has every page read, without a pepper.
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
	e.ok("settings", "a change is on the disk before it is acknowledged")
}

// programs looks for others of the name, and for a shell that should not touch a
// database in use.
func (e *examination) programs() {
	look := e.Programs
	if look == nil {
		look = exec.LookPath
	}
	good := true
	if other, err := look("keyctl"); err == nil && !sameFile(other, e.Self) {
		good = false
		e.warn("programs", "call this one by its path, or as mcpkeys", "the keyctl on PATH is another program, %s: the kernel's keyutils has one of that name", other)
	}
	if shell, err := look("sqlite3"); err == nil {
		if v := shellVersion(e.ctx, shell); v != "" && tooOld(v) {
			good = false
			e.warn("programs", "use it on copies that 'keyctl backup' makes", "the database shell on PATH, %s, is SQLite %s, which can corrupt a database that servers have open", shell, v)
		}
	}
	if good {
		e.ok("programs", "no other keyctl and no old database shell is on PATH")
	}
}

func sameFile(a, b string) bool {
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	if err1 != nil || err2 != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	return os.SameFile(one, two)
}

var versionNumber = regexp.MustCompile(`^\d+\.\d+\.\d+\b`)

// shellVersion asks the shell; empty when it does not say.
func shellVersion(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	return versionNumber.FindString(string(out))
}
