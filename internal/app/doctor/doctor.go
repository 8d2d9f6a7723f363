// Package doctor checks a key store: its files, its database, its keys, its audit log, and the
// settings of this machine that they depend on. Each finding says what to do.
//
// Call [Examine]. It reports its findings one by one, in a fixed order, and continues after a
// problem as far as it can, also if the store cannot be opened.
//
// The package never changes anything, not even to fix a problem: users run it on a damaged
// store to decide what to do. 'keyctl doctor --fix' calls sqlite.Mend.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// State is how good a finding is.
type State string

// The states. A warning needs no action now; a problem does.
const (
	OK      State = "ok"
	Warning State = "warning"
	Problem State = "problem"
)

// Finding is the result of one check.
type Finding struct {
	Check string // one word, the same each time
	State State
	Says  string // one sentence; it may hold names and paths, and never a secret
	Fix   string // what to do; empty if there is nothing to do
}

// Subject is what to examine.
type Subject struct {
	DB       string
	Options  *sqlite.Options
	Programs func(name string) (path string, err error) // finds a program; nil means exec.LookPath
	Self     string                                     // the path of this program
	Now      time.Time
}

// examination is one run of Examine.
type examination struct {
	Subject
	ctx    context.Context //nolint:containedctx // of one run
	tell   func(Finding)
	places sqlite.Places
	worst  State
	seen   census // of the keys that were read

	strange  []string // names of files of the store at which there is something else
	unopened bool     // the checks that open the database are left out
	unsafe   bool     // other users may open the database
}

// Examine reports every finding to tell, and returns the worst state. The error is that of ctx.
func Examine(ctx context.Context, s Subject, tell func(Finding)) (State, error) {
	e := &examination{Subject: s, ctx: ctx, tell: tell, worst: OK}
	e.sqliteVersion()
	places, err := sqlite.PlacesOf(s.DB, s.Options)
	if err != nil {
		e.problem("database", err)
		return e.worst, ctx.Err()
	}
	e.places = places
	if _, err := os.Stat(places.Database); errors.Is(err, fs.ErrNotExist) {
		// The checks of the files beside it would only report the directory.
		e.bad("database", "name another with --db or KEYCTL_DB, make one with 'keyctl init', or restore a backup with 'keyctl restore FILE'",
			"there is no key store at %s", places.Database)
		e.programs()
		return e.worst, ctx.Err()
	}
	e.look(e.fileSystem, e.place, e.files, e.directory, e.space, e.ballast)
	switch {
	case e.unsafe: // SQLite would give its -wal and -shm the mode of the database
		e.bad("database", "change the modes as said above, then run doctor again", "it was not opened, because other users may open it")
		e.look(e.programs)
	case e.unopened:
		e.look(e.log, e.programs)
	default:
		e.look(e.epoch, e.log, e.database, e.settings, e.contents, e.programs)
	}
	return e.worst, ctx.Err()
}

// look runs checks until ctx ends.
func (e *examination) look(looks ...func()) {
	for _, look := range looks {
		if e.ctx.Err() != nil {
			return
		}
		look()
	}
}

func (e *examination) report(f Finding) {
	if f.State == Problem || f.State == Warning && e.worst == OK {
		e.worst = f.State
	}
	e.tell(f)
}

func (e *examination) ok(check, says string, args ...any) {
	e.report(Finding{Check: check, State: OK, Says: fmt.Sprintf(says, args...)})
}

func (e *examination) warn(check, fix, says string, args ...any) {
	e.report(Finding{check, Warning, fmt.Sprintf(says, args...), fix})
}

// problem reports an error of the store, which already names the fix.
func (e *examination) problem(check string, err error) {
	if e.ctx.Err() != nil {
		return // the error comes from the end of ctx
	}
	e.report(Finding{Check: check, State: Problem, Says: err.Error()})
}

func (e *examination) bad(check, fix, says string, args ...any) {
	e.report(Finding{check, Problem, fmt.Sprintf(says, args...), fix})
}

// contents opens the store with its pepper, and runs the checks that need it.
func (e *examination) contents() {
	r, err := sqlite.OpenVerifier(e.DB, e.Options)
	if err != nil {
		e.problem("pepper", err)
		return
	}
	defer func() { _ = r.Close() }() // it was only read
	e.pepper(r)
	e.peppers(r)
	e.usage(r)
	e.imports(r)
	e.audit(r)
	e.keys(r)
	e.imported(r)
	e.clock(r)
}
