package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func (e *examination) fileSystem() {
	if err := sqlite.CheckFileSystem(filepath.Dir(e.places.Database)); err != nil {
		e.problem("filesystem", err)
		return
	}
	e.ok("filesystem", "it is a local one")
}

// beside are the names of the files that mcpkeys and SQLite make beside the database.
func (e *examination) beside() []string {
	p := e.places
	usage := p.Usage
	if target, err := filepath.EvalSymlinks(usage); err == nil { // SQLite follows a link, and makes the others there
		usage = target
	}
	all := []string{p.Log, p.Shared, p.Epoch, p.Usage, usage + "-wal", usage + "-shm", p.Ballast}
	return append(all, p.Locks...)
}

// present are those of the store's files that are there.
func (e *examination) present() []string {
	var there []string
	for _, path := range append([]string{e.places.Database, e.places.Pepper}, e.beside()...) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !slices.Contains(e.strange, path) {
			there = append(there, path)
		}
	}
	return there
}

// files looks at modes and owners, and tells of all that are wrong in one finding each.
func (e *examination) files() {
	e.kinds()
	there := e.present()
	if loose := filemode.Loose(there...); len(loose) > 0 {
		e.unsafe = len(filemode.Loose(e.places.Database)) > 0
		e.bad("files", filemode.Fix(loose), "other users may open %s", filemode.Describe(loose))
	} else if len(there) > 0 {
		to := "their owner"
		if os.Getenv(filemode.Variable) == "1" {
			to = "their owner, and to a group of this process,"
		}
		e.ok("files", "%s, open to %s only", wording.Counted(len(there), "file", "files"), to)
	}
	e.owners(there)
}

// kinds finds what is no file and stands at the name of one, such as a symbolic link: to
// change its mode would change the mode of something else, and mend nothing. A usage file
// may be on another disk, and its name a link.
func (e *examination) kinds() {
	p := e.places
	var says, moves []string
	vital := false
	for _, path := range e.beside() {
		other := filemode.Other(path)
		if info, err := os.Stat(path); other == "" || path == p.Usage && err == nil && info.Mode().IsRegular() {
			continue
		}
		e.strange = append(e.strange, path)
		vital = vital || path == p.Log || path == p.Shared || path == p.Epoch
		says = append(says, path+" is "+other)
		moves = append(moves, "mv "+shell.Quote(path)+" "+shell.Quote(path+".moved"))
	}
	if len(says) == 0 {
		return
	}
	text, command := strings.Join(says, ", ")+"; a file of the key store belongs there", strings.Join(moves, " && ")
	if vital {
		e.bad("kinds", "stop every program that uses this key store, run '"+command+"', and then 'keyctl doctor', which says whether changes are missing", "%s", text)
		return
	}
	e.warn("kinds", "run '"+command+"'; what is needed is made again", "%s", text)
}

// owners: all files should be one user's. Root may look at any user's, and is told which
// user the commands that change something should run as; root's own files among those of
// a service shut the service out.
func (e *examination) owners(there []string) {
	owner, known := ownerOf(e.places.Database)
	if !known {
		return
	}
	var others []string
	for _, path := range there {
		passing := strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") // SQLite makes and removes them
		if one, ok := ownerOf(path); ok && one != owner && !passing {
			others = append(others, path)
		}
	}
	name := userName(owner)
	switch {
	case len(others) > 0:
		quoted := make([]string, len(others))
		for i, path := range others {
			quoted[i] = shell.Quote(path)
		}
		e.bad("owner", "as root: chown "+name+" "+strings.Join(quoted, " "), "the database is %s's, and of another user: %s", name, strings.Join(others, ", "))
	case owner == os.Geteuid():
	case os.Geteuid() == 0:
		e.warn("owner", "run what changes keys as that user: sudo -u "+name, "the key store is %s's: what root makes beside it, that user may not open", name)
	default:
		e.bad("owner", "run this as that user: sudo -u "+name, "the key store is %s's, and this user may not use it", name)
	}
}

// directory matters because who may write it may put another file in the place of any.
func (e *examination) directory() {
	dir := filepath.Dir(e.places.Database)
	info, err := os.Stat(dir)
	if err != nil {
		e.problem("directory", fmt.Errorf("look at %s: %w", dir, err))
		return
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		e.bad("directory", "chmod go-w "+shell.Quote(dir), "other users may write in %s (mode %04o), and so put another key store in the place of this one", dir, info.Mode().Perm())
		return
	}
	if err := sqlite.CheckWritable(e.places.Database); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.problem("directory", err)
		return
	}
	e.ok("directory", "only its owner may write in it")
}

func (e *examination) space() {
	free, enough, err := sqlite.FreeSpace(filepath.Dir(e.places.Database))
	switch {
	case err != nil:
		e.problem("space", fmt.Errorf("ask for free space: %w", err))
	case free < enough:
		e.warn("space", "clear something away", "%s are free on the disk", wording.Bytes(free))
	default:
		e.ok("space", "%s are free on the disk", wording.Bytes(free))
	}
}

func (e *examination) ballast() {
	err := sqlite.CheckBallast(e.places.Ballast)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.warn("ballast", "clear something away; the next command that opens the key store makes it again", "%s is missing: on a full disk no key could be revoked", e.places.Ballast)
	case err != nil:
		e.report(Finding{Check: "ballast", State: Warning, Says: err.Error()})
	default:
		e.ok("ballast", "room for revocations on a full disk is kept")
	}
}

// place makes sure that others who open the key store find the same files. Where they do
// not, the database is not opened: SQLite would make a log for one that lost its own, and
// hide by it that changes are missing.
func (e *examination) place() {
	if err := sqlite.CheckPlace(e.DB); err != nil {
		e.problem("identity", err)
		e.unopened = true
		return
	}
	e.ok("identity", "each of its files has one name, and no file of another database lies beside it")
}

// epoch holds the database against the page through which processes tell each other of
// changes.
func (e *examination) epoch() {
	missing, err := sqlite.CheckPosition(e.ctx, e.DB)
	switch {
	case missing > 0:
		e.bad("epoch", "keyctl restore with a backup; or, to go on without these changes, keyctl doctor --fix",
			"%s acknowledged and not in the database, revocations perhaps among them: its log was removed, or an older file was copied over it; no server accepts a key", wording.Counted(int(missing), "change was", "changes were")) //nolint:gosec // 48 bits
	case err != nil:
		e.problem("epoch", err)
	default:
		e.ok("epoch", "processes tell each other of changes through memory, and none is missing")
	}
}

// bigLog is when SQLite's log is longer than a checkpoint leaves it, in bytes: it is cut
// back to 64 MiB whenever nobody reads from it.
const bigLog = 256 << 20

func (e *examination) log() {
	info, err := os.Stat(e.places.Log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("log", "SQLite's log is empty")
	case err != nil:
		e.problem("log", fmt.Errorf("look at %s: %w", e.places.Log, err))
	case info.Size() > bigLog:
		e.warn("log", "find the process that has been reading for a long time, a backup or a database shell, and end it", "%s has %s: something keeps SQLite from clearing it", e.places.Log, wording.Bytes(info.Size()))
	default:
		e.ok("log", "SQLite's log has %s", wording.Bytes(info.Size()))
	}
}
