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

// named is how many bad rows of one kind are called by their names.
const named = 10

// pepper comes when the store was opened, which proves that the peppers fit.
func (e *examination) pepper(*sqlite.Reader) {
	if filepath.Dir(e.places.Pepper) == filepath.Dir(e.places.Database) {
		e.warn("pepper", "keep it in another directory, which backups of this one do not take along, and name it with --pepper or KEYCTL_PEPPER_FILE",
			"it fits the database, and lies beside it: who copies the directory has both, and can forge keys")
		return
	}
	e.ok("pepper", "it fits the database, and lies apart from it")
}

// peppers tells which are still needed. One that is missing and that dead keys alone
// name is what a retired pepper leaves behind.
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
			e.bad("peppers", "restore a pepper file that holds it, or revoke those keys", "%s made with pepper %s, which the pepper file does not hold", wording.Counted(u.LiveKeys, "live key was", "live keys were"), u.ID)
		case u.State == store.PepperRetired && u.LiveKeys == 0:
			good = false
			e.warn("peppers", "run 'keyctl pepper retire "+u.ID+"'", "no live key needs the retired pepper %s any more", u.ID)
		case u.State != store.PepperMissing:
			held = append(held, fmt.Sprintf("%s (%s, %s)", u.ID, u.State, wording.Counted(u.LiveKeys, "live key", "live keys")))
		}
	}
	if good {
		e.ok("peppers", "%s", strings.Join(held, ", "))
	}
}

func (e *examination) usage(r *sqlite.Reader) {
	if err := r.CheckUsage(e.ctx); err != nil {
		e.warn("usage", "see that the disk has room and that the file is yours; it decides nothing, and is made anew where it is missing", "%v", err)
		return
	}
	e.ok("usage", "counts of use can be read")
}

// audit holds the log against itself and every key against the log. Seals are left to
// keys.
func (e *examination) audit(r store.Reader) {
	report, err := store.VerifyAudit(e.ctx, r, nil)
	if err != nil {
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
		e.ok("audit", "the chain of %s holds, and keys are as it tells; that none is missing at its end only a checkpoint shows", wording.Counted(int(report.Rows), "row", "rows"))
	}
}

// keys looks at every row's seal, the dead ones' too.
func (e *examination) keys(r store.Reader) {
	all, tampered, ending := 0, []string{}, []string{}
	q := keys.Query{Limit: keys.MaxLimit, Now: e.Now}
	for {
		page, err := r.List(e.ctx, q)
		if err != nil {
			e.problem("keys", err)
			return
		}
		all += len(page.Keys)
		for _, k := range page.Keys {
			if r.Peppers().CheckSeal(k) != nil {
				tampered = append(tampered, k.ID)
				continue
			}
			if e.endsSoon(k) {
				ending = append(ending, k.Label()+" ("+k.ID+", "+k.ExpiresAt.UTC().Format(time.DateOnly)+")")
			}
		}
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if len(ending) > 0 {
		e.warn("admin keys", "renew each in time with keyctl rotate KEY --expires 90d, beside the key store",
			"%s within 30 days, and what acts with them stops: %s", wording.Counted(len(ending), "admin key ends", "admin keys end"), some(ending))
	}
	if len(tampered) > 0 {
		e.bad("keys", "revoke them, or restore the database from a backup; the audit log tells what they were",
			"%s changed outside mcpkeys, and no server accepts what was: %s", wording.Counted(len(tampered), "key was", "keys were"), some(tampered))
		return
	}
	e.ok("keys", "%s, each as it was sealed", wording.Counted(all, "key", "keys"))
}

// endsSoon reports whether k is an admin key, for changes or for verification, that ends
// within 30 days: what acts with it stops then.
func (e *examination) endsSoon(k *keys.Key) bool {
	const soon = 30 * 24 * time.Hour
	in := k.Kind == keys.KindAdmin && k.RevokedAt.IsZero() && !k.ExpiresAt.IsZero()
	return in && k.ExpiresAt.After(e.Now) && k.ExpiresAt.Sub(e.Now) <= soon
}

// imported tells of keys that are still under the hash of another system. Where there are
// none it says nothing: most stores never imported a key.
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
	e.warn("imported", "let them be used, and rotate what stays",
		"%s under the hash of another system, unused since the import or short enough to be guessed: %s", wording.Counted(total, "key is", "keys are"), strings.Join(names, ", ")+more)
}

// imports tells of imports that did not come to their end.
func (e *examination) imports(r *sqlite.Reader) {
	u, err := r.UnfinishedImports(e.ctx)
	switch {
	case err != nil:
		e.problem("imports", err)
	case u.Forged > 0:
		e.bad("imports", "find out who changed the database, and restore a backup; the next import removes the keys that were not revoked",
			"%s changed outside mcpkeys; no server accepts a key of them", wording.Counted(u.Forged, "import was", "imports were"))
	case u.Batches > 0 && !u.Running:
		e.warn("imports", "keyctl import FILE, with the same file or another, removes what is left",
			"%s broken off; %s not valid and cannot be used", wording.Counted(u.Batches, "import was", "imports were"), wording.Counted(u.Keys, "key is", "keys are"))
	}
}

// first tells one sentence of several: together they would be a page.
func first(faults []string) string {
	if len(faults) == 1 {
		return faults[0]
	}
	return fmt.Sprintf("%s (and %d more: 'keyctl audit verify')", faults[0], len(faults)-1)
}

// some names the first of a list, and how many more there are.
func some(list []string) string {
	if len(list) <= named {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:named], ", ") + fmt.Sprintf(" and %d more", len(list)-named)
}

// slack is how far clocks of one machine may seem to be apart.
const slack = 2 * time.Second

// clock compares with the newest audit row, which no clock that is right comes before.
func (e *examination) clock(r store.Reader) {
	page, err := r.Audit(e.ctx, audit.Query{Limit: 1})
	if err != nil {
		e.problem("clock", err)
		return
	}
	if len(page.Events) == 1 {
		if behind := page.Events[0].At.Sub(e.Now); behind > slack {
			e.warn("clock", "set the clock, and look at keys that were issued while it was wrong: their expiry follows it",
				"it is %s behind the newest audit row: it is wrong now, or was wrong then", keys.FormatDuration(behind.Round(time.Second)))
			return
		}
	}
	e.ok("clock", "it is not behind the newest audit row")
}
