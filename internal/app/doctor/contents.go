package doctor

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// named is how many keys of one finding are named.
const named = 10

// pepper checks where the pepper file is. That it fits was proved by opening the store.
func (e *examination) pepper(*sqlite.Reader) {
	if filepath.Dir(e.places.Pepper) == filepath.Dir(e.places.Database) {
		e.warn("pepper", "move it to another directory that is backed up separately, and name it with --pepper or KEYCTL_PEPPER_FILE",
			"it fits the database, but is in the same directory: a copy of the directory is enough to forge keys")
		return
	}
	e.ok("pepper", "it fits the database, and is in another directory")
}

// peppers says which peppers are still needed. A missing pepper is fine if only revoked or
// expired keys name it: it was retired.
func (e *examination) peppers(r *sqlite.Reader) {
	uses, err := r.PepperUses(e.ctx, e.Now)
	if err != nil {
		e.problem("peppers", err)
		return
	}
	good, held := true, []string{}
	for _, u := range uses {
		switch {
		case u.State == store.PepperMissing && u.LiveKeys > 0:
			good = false
			e.bad("peppers", "restore a pepper file that holds it, or revoke those keys", "%s pepper %s, which is not in the pepper file", wording.Counted(u.LiveKeys, "key needs", "keys need"), u.ID)
		case u.State == store.PepperOld && u.LiveKeys == 0:
			good = false
			e.warn("peppers", "run 'keyctl pepper retire "+u.ID+"'", "no key needs the old pepper %s any more", u.ID)
		case u.State != store.PepperMissing:
			held = append(held, fmt.Sprintf("%s (%s, needed by %s)", u.ID, u.State, wording.Counted(u.LiveKeys, "key", "keys")))
		}
	}
	if good {
		e.ok("peppers", "%s", strings.Join(held, ", "))
	}
}

func (e *examination) usage(r *sqlite.Reader) {
	if err := r.CheckUsage(e.ctx); err != nil {
		e.warn("usage", "check that the disk has room and that you own the file; it holds only statistics, and if it is missing a new one is made", "%v", err)
		return
	}
	e.ok("usage", "the usage counts can be read")
}

// audit checks the chain of the log, and compares every key with the log. It leaves the seals
// to keys, and notes for it what the keys are.
func (e *examination) audit(r store.Reader) {
	report, err := store.VerifyAudit(e.ctx, r, &audit.VerifyOptions{Key: e.note})
	if err != nil {
		e.seen = census{} // perhaps not of all keys
		e.problem("audit", err)
		return
	}
	var faults []string
	for _, f := range report.Faults {
		if !f.Tampered {
			faults = append(faults, f.String())
		}
	}
	switch {
	case len(faults) > 0:
		e.bad("audit", "find out who changed the database, and compare it with a backup", "%s", first(faults))
	case report.Head == nil:
		e.ok("audit", "the log is empty")
	default:
		e.ok("audit", "the chain of %s is intact and matches the keys; only a checkpoint shows whether rows are missing at its end", wording.Counted(int(report.Rows), "row", "rows"))
	}
}

// census is what is noted of all keys.
type census struct {
	all      int
	tampered sample
	ending   sample // admin keys that expire soon
}

// sample has the first of many texts, and their number.
type sample struct {
	n     int
	first []string
}

func (s *sample) add(text string) {
	if s.n++; s.n <= named {
		s.first = append(s.first, text)
	}
}

// String names the first ones, and how many more there are.
func (s *sample) String() string {
	text := strings.Join(s.first, ", ")
	if more := s.n - len(s.first); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (e *examination) note(k *keys.Key, seal error) {
	e.seen.all++
	switch {
	case seal != nil:
		e.seen.tampered.add(k.ID)
	case e.endsSoon(k):
		e.seen.ending.add(k.Label() + " (" + k.ID + ", " + k.ExpiresAt.UTC().Format(time.DateOnly) + ")")
	}
}

// keys reports on the seal of every row, revoked keys included. It reads the keys if audit did
// not, because the log is damaged.
func (e *examination) keys(r store.Reader) {
	if e.seen.all == 0 {
		if err := e.readKeys(r); err != nil {
			e.problem("keys", err)
			return
		}
	}
	if ending := &e.seen.ending; ending.n > 0 {
		e.warn("admin keys", "renew each in time with keyctl rotate KEY --expires 90d, on this machine",
			"%s within 30 days, and programs that use it then stop working: %s", wording.Counted(ending.n, "admin key expires", "admin keys expire"), ending)
	}
	if tampered := &e.seen.tampered; tampered.n > 0 {
		e.bad("keys", "revoke them, or restore the database from a backup; the audit log has their earlier values",
			"%s changed outside mcpkeys; no server accepts such keys: %s", wording.Counted(tampered.n, "key was", "keys were"), tampered)
		return
	}
	e.ok("keys", "%s, every seal matches", wording.Counted(e.seen.all, "key", "keys"))
}

func (e *examination) readKeys(r store.Reader) error {
	for q := (keys.Query{Limit: keys.MaxLimit}); ; {
		page, err := r.List(e.ctx, q)
		if err != nil {
			return err
		}
		for _, k := range page.Keys {
			e.note(k, r.Peppers().CheckSeal(k))
		}
		if q.Cursor = page.Next; page.Next == "" {
			return nil
		}
	}
}

// endsSoon reports whether k is an admin key that expires within 30 days.
func (e *examination) endsSoon(k *keys.Key) bool {
	const soon = 30 * 24 * time.Hour
	in := k.Kind == keys.KindAdmin && k.RevokedAt.IsZero() && !k.ExpiresAt.IsZero()
	return in && k.ExpiresAt.After(e.Now) && k.ExpiresAt.Sub(e.Now) <= soon
}

// imported reports keys that still have the hash of another system. If there are none it
// reports nothing: most stores never imported a key.
func (e *examination) imported(r *sqlite.Reader) {
	list, total, err := r.OldHashes(e.ctx, named)
	switch {
	case err != nil:
		e.problem("imported", err)
		return
	case total == 0:
		return
	}
	var names []string
	for _, one := range list {
		names = append(names, fmt.Sprintf("%s (%s)", one.KeyID, one.Scheme))
	}
	more := ""
	if total > len(list) {
		more = fmt.Sprintf(" and %d more", total-len(list))
	}
	e.warn("imported", "use each key once; then rotate the keys that are still listed",
		"%s the hash of another system: unused since the import, or with a secret short enough to guess: %s", wording.Counted(total, "key still has", "keys still have"), strings.Join(names, ", ")+more)
}

// imports reports imports that did not finish.
func (e *examination) imports(r *sqlite.Reader) {
	u, err := r.UnfinishedImports(e.ctx)
	switch {
	case err != nil:
		e.problem("imports", err)
	case u.Forged > 0:
		e.bad("imports", "find out who changed the database, and restore a backup; the next import removes the keys that were not revoked",
			"%s changed outside mcpkeys; no server accepts the imported keys", wording.Counted(u.Forged, "import was", "imports were"))
	case u.Batches > 0 && !u.Running:
		e.warn("imports", "run keyctl import FILE, with the same or another file: it removes these keys",
			"%s interrupted; %s not valid and cannot be used", wording.Counted(u.Batches, "import was", "imports were"), wording.Counted(u.Keys, "key is", "keys are"))
	}
}

// first returns the first of several faults, and the number of the others.
func first(faults []string) string {
	if len(faults) == 1 {
		return faults[0]
	}
	return fmt.Sprintf("%s (and %d more: 'keyctl audit verify')", faults[0], len(faults)-1)
}

// slack is how far the clock may be behind the newest audit row without a warning.
const slack = 2 * time.Second

// clock compares the clock with the newest audit row: a right clock is not behind it.
func (e *examination) clock(r store.Reader) {
	page, err := r.Audit(e.ctx, audit.Query{Limit: 1})
	if err != nil {
		e.problem("clock", err)
		return
	}
	if len(page.Events) == 1 {
		if behind := page.Events[0].At.Sub(e.Now); behind > slack {
			e.warn("clock", "set the clock, and check the expiry of keys that were issued while it was wrong",
				"it is %s behind the newest audit row: it is wrong now, or was wrong then", keys.FormatDuration(behind.Round(time.Second)))
			return
		}
	}
	e.ok("clock", "it is not behind the newest audit row")
}
