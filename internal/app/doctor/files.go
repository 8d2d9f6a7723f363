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
	e.ok("filesystem", "it is local")
}

// beside returns the names of the files that mcpkeys and SQLite make beside the database.
func (e *examination) beside() []string {
	p := e.places
	usage := p.Usage
	if target, err := filepath.EvalSymlinks(usage); err == nil { // SQLite makes these files beside the target of a link
		usage = target
	}
	all := []string{p.Log, p.Shared, p.Epoch, p.Usage, usage + "-wal", usage + "-shm", p.Ballast}
	return append(all, p.Locks...)
}

// present returns the files of the store that exist.
func (e *examination) present() []string {
	var there []string
	for _, path := range append([]string{e.places.Database, e.places.Pepper}, e.beside()...) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !slices.Contains(e.strange, path) {
			there = append(there, path)
		}
	}
	return there
}

// files checks modes and owners, with one finding for all wrong modes and one for all wrong
// owners.
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

// kinds reports what is not a file but has the name of one, such as a symbolic link: changing
// its mode would change the mode of another file and fix nothing. The usage file may be a
// link, to have it on another disk.
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
	text, command := strings.Join(says, ", ")+"; a file of the key store must have that name", strings.Join(moves, " && ")
	if vital {
		e.bad("kinds", "stop every program that uses this key store, run '"+command+"', and then 'keyctl doctor', which says whether changes are missing", "%s", text)
		return
	}
	e.warn("kinds", "run '"+command+"'; files that are needed are made again", "%s", text)
}

// owners checks that all files belong to one user. Root may examine the files of any user, and
// is told as which user to run commands that change something: a service cannot open files
// that root makes.
func (e *examination) owners(there []string) {
	owner, known := ownerOf(e.places.Database)
	if !known {
		return
	}
	var others []string
	for _, path := range there {
		passing := strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") // temporary files of SQLite
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
		e.bad("owner", "as root: chown "+name+" "+strings.Join(quoted, " "), "the database belongs to user %s, but these files belong to others: %s", name, strings.Join(others, ", "))
	case owner == os.Geteuid():
	case os.Geteuid() == 0:
		e.warn("owner", "run commands that change keys as that user: sudo -u "+name, "the key store belongs to user %s, who cannot open files that root makes", name)
	default:
		e.bad("owner", "run this command as that user: sudo -u "+name, "the key store belongs to user %s, and you may not use it", name)
	}
}

// directory checks its mode: a user who may write in it can replace the files.
func (e *examination) directory() {
	dir := filepath.Dir(e.places.Database)
	info, err := os.Stat(dir)
	if err != nil {
		e.problem("directory", fmt.Errorf("%s cannot be examined: %w", dir, err))
		return
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		e.bad("directory", "chmod go-w "+shell.Quote(dir), "other users may write in %s (mode %04o), and so replace the key store", dir, info.Mode().Perm())
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
		e.problem("space", fmt.Errorf("the free disk space cannot be read: %w", err))
	case free < enough:
		e.warn("space", "free some disk space", "only %s are free on the disk", wording.Bytes(free))
	default:
		e.ok("space", "%s are free on the disk", wording.Bytes(free))
	}
}

func (e *examination) ballast() {
	err := sqlite.CheckBallast(e.places.Ballast)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.warn("ballast", "free some disk space; the next command that opens the key store makes it again", "%s is missing: on a full disk no key could be revoked", e.places.Ballast)
	case err != nil:
		e.report(Finding{Check: "ballast", State: Warning, Says: err.Error()})
	default:
		e.ok("ballast", "space for revocations on a full disk is reserved")
	}
}

// place checks that other processes that open the key store get the same files. If not, the
// database is not opened: if its log was removed SQLite would make a new one, and hide that
// changes are missing.
func (e *examination) place() {
	if err := sqlite.CheckPlace(e.DB); err != nil {
		e.problem("identity", err)
		e.unopened = true
		return
	}
	e.ok("identity", "each of its files has one name, and no file of another database is beside it")
}

// epoch compares the database with the epoch file, through which processes notify each other
// of changes.
func (e *examination) epoch() {
	missing, err := sqlite.CheckPosition(e.ctx, e.DB)
	switch {
	case missing > 0:
		e.bad("epoch", "restore a backup with keyctl restore FILE; or, to continue without these changes, run keyctl doctor --fix",
			"%s acknowledged but not in the database, perhaps revocations: its log was removed, or an older file was copied over it; no server accepts a key", wording.Counted(int(missing), "change was", "changes were")) //nolint:gosec // 48 bits
	case err != nil:
		e.problem("epoch", err)
	default:
		e.ok("epoch", "processes notify each other of changes, and no change is missing")
	}
}

// bigLog is a size of SQLite's log, in bytes, that it has only while a process keeps reading:
// otherwise a checkpoint cuts it to 64 MiB.
const bigLog = 256 << 20

func (e *examination) log() {
	info, err := os.Stat(e.places.Log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("log", "SQLite's log is empty")
	case err != nil:
		e.problem("log", fmt.Errorf("%s cannot be examined: %w", e.places.Log, err))
	case info.Size() > bigLog:
		e.warn("log", "end the process that has been reading for a long time, such as a backup or a database shell", "%s has %s: a process keeps SQLite from clearing it", e.places.Log, wording.Bytes(info.Size()))
	default:
		e.ok("log", "SQLite's log has %s", wording.Bytes(info.Size()))
	}
}
