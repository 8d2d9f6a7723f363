// Package doctor looks a key store over: its files, its database, its keys and its log,
// and this machine as far as it matters to them. Each finding says what to do.
//
// Call [Examine], which tells of its findings one by one, in a fixed order, and goes on
// after a bad one as far as it can: a store that cannot be opened is examined all the
// more.
//
// The package refuses to change anything, also what could be mended: it is run on stores
// that are in trouble, by people who want to know first. 'keyctl doctor --fix' calls
// sqlite.Mend.
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

// The states. A warning is what somebody should know; only a problem is a reason to act
// before anything else.
const (
	OK      State = "ok"
	Warning State = "warning"
	Problem State = "problem"
)

// Finding is what came of one look.
type Finding struct {
	Check string // one word, the same each time
	State State
	Says  string // one sentence; it may hold names and paths, and never a secret
	Fix   string // what to do; empty when nothing is
}

// Subject is what is examined.
type Subject struct {
	DB       string
	Options  *sqlite.Options
	Programs func(name string) (path string, err error) // finds a program; nil means exec.LookPath
	Self     string                                     // the path of this program
	Now      time.Time
}

// examination is one run.
type examination struct {
	Subject
	ctx    context.Context //nolint:containedctx // of one run
	tell   func(Finding)
	places sqlite.Places
	worst  State

	strange  []string // names of files at which something else stands
	unopened bool     // what looks into the database is left out
	unsafe   bool     // other users may open the database
}

// Examine tells of every finding, and returns the worst state. The error is that of ctx.
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
		// What is beside it has nothing to say then, and would blame the directory.
		e.bad("database", "name the one that is meant with --db or KEYCTL_DB, make one with 'keyctl init', or restore a backup with 'keyctl restore FILE'",
			"there is no key store at %s", places.Database)
		e.programs()
		return e.worst, ctx.Err()
	}
	e.look(e.fileSystem, e.place, e.files, e.directory, e.space, e.ballast)
	switch {
	case e.unsafe: // SQLite would make its -wal and -shm as open as the database
		e.bad("database", "close its files to other users, as said above, and run doctor again", "it was not opened")
		e.look(e.programs)
	case e.unopened:
		e.look(e.log, e.programs)
	default:
		e.look(e.epoch, e.log, e.database, e.settings, e.contents, e.programs)
	}
	return e.worst, ctx.Err()
}

// look takes looks until it is told to stop.
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

// problem reports an error of the store, whose sentence names the fix already.
func (e *examination) problem(check string, err error) {
	if e.ctx.Err() != nil {
		return // it was told to stop
	}
	e.report(Finding{Check: check, State: Problem, Says: err.Error()})
}

func (e *examination) bad(check, fix, says string, args ...any) {
	e.report(Finding{check, Problem, fmt.Sprintf(says, args...), fix})
}

// contents opens the store, with its pepper, and looks at what only then can be judged.
func (e *examination) contents() {
	r, err := sqlite.OpenVerifier(e.DB, e.Options)
	if err != nil {
		e.problem("pepper", err)
		return
	}
	defer func() { _ = r.Close() }() // nothing was written
	e.pepper(r)
	e.peppers(r)
	e.usage(r)
	e.imports(r)
	e.audit(r)
	e.keys(r)
	e.imported(r)
	e.clock(r)
}
