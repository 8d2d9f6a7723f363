package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// foretold is what people are told before they are asked.
func (a *app) foretold(r *sqlite.Restoration, f *restoreFlags) string {
	text := "backup\n" + aligned(a.snapshotRows(r.Backup), a.width(a.stdout)) + "\n"
	for _, line := range a.undone(r, f) {
		text += strings.Join(wrap(line, a.width(a.stdout)-1), "\n") + "\n"
	}
	return text
}

// undone tells what becomes of what was done since the backup: first what is dangerous.
func (a *app) undone(r *sqlite.Restoration, f *restoreFlags) []string {
	u := r.Undone
	var lines []string
	say := func(text string, args ...any) { lines = append(lines, fmt.Sprintf(text, args...)) }
	warn := func(text string, args ...any) { say("warning: "+text, args...) }
	if r.Doubt != nil {
		warn("the present key store is not in order: %s", sentence(r.Doubt))
	}
	if r.Present != nil && !r.Missing.None() {
		warn("%s. A key that such a change revoked is good again: look at the list then, and revoke again.", lacking(r.Missing))
	}
	switch {
	case r.Present == nil:
		warn("what was done since the backup cannot be told. Keys that were revoked since are good again: look at the list, and revoke them.")
	case !u.Related:
		warn("the backup is not an earlier state of this key store; they are compared key by key.")
	case u.Events == 0 && r.Doubt == nil && r.Missing.None():
		say("Nothing was changed since the backup.")
	}
	revoked, disabled := "revoked again", "disabled again"
	if f.undo {
		revoked, disabled = "good again", "good again"
	}
	tellKeys(say, u.Revoked, "revoked since, and "+revoked)
	tellKeys(say, u.Disabled, "disabled since, and "+disabled)
	tellKeys(say, u.Doubtful, "said to be revoked by a row that was changed outside mcpkeys, and good again")
	tellKeys(say, u.Rotated, "rotated since: the old secret is good again, and the new one is not")
	tellKeys(say, u.Issued, "issued since, and gone")
	tellKeys(say, u.Edited, "edited since, and as before")
	if u.UsedDoubt != nil {
		say("Which keys were used since cannot be told: %s", sentence(u.UsedDoubt))
	}
	used := make([]string, len(u.Used))
	for i, one := range u.Used {
		used[i] = label(one.Key) + " " + wording.Relative(one.At, a.now())
	}
	tell(say, used, "used since")
	return lines
}

// lacking says what acknowledged changes the present key store does not hold.
func lacking(m sqlite.Missing) string {
	if m.Unknown != nil {
		return "the epoch file does not tell whether the present key store lacks changes that were acknowledged, revocations perhaps among them ('keyctl doctor' says why)"
	}
	return fmt.Sprintf("the present key store lacks %s, revocations perhaps among them", acknowledged(m))
}

func acknowledged(m sqlite.Missing) string {
	return plural(int(m.Changes), "acknowledged change") //nolint:gosec // 48 bits
}

// restoreQuestion is what people are asked, after they were told.
func restoreQuestion(r *sqlite.Restoration, path string) string {
	what := "Restore over " + wording.Clean(path)
	switch m := r.Missing; {
	case errors.Is(m.Unknown, fs.ErrNotExist):
		return "Restore to " + wording.Clean(path) + "?"
	case m.Unknown != nil:
		return what + ", though it cannot be told which acknowledged changes it lacks?"
	case m.Changes > 0:
		return what + ", which lacks " + acknowledged(m) + ", revocations perhaps among them?"
	}
	return what + "?"
}

// mostTold is how many keys are told one by one; -o json has them all.
const mostTold = 20

func tellKeys(say func(string, ...any), list []*keys.Key, what string) {
	labels := make([]string, len(list))
	for i, k := range list {
		labels[i] = label(k)
	}
	tell(say, labels, what)
}

func tell(say func(string, ...any), labels []string, what string) {
	switch n := len(labels); {
	case n == 0:
	case n > mostTold:
		say("%d keys %s: %s and %d more", n, what, strings.Join(labels[:mostTold], ", "), n-mostTold)
	default:
		say("%s %s: %s", plural(n, "key"), what, strings.Join(labels, ", "))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (a *app) reportDryRestore(r *sqlite.Restoration, f *restoreFlags) error {
	if a.output == formatJSON {
		return a.printJSON(a.restoreJSON(r, sqlite.Restored{}, f, false))
	}
	if err := a.print(a.foretold(r, f)); err != nil {
		return err
	}
	a.say("dry run: the backup is good, nothing was changed")
	return nil
}

func (a *app) reportRestored(r *sqlite.Restoration, came sqlite.Restored, f *restoreFlags) error {
	if a.output == formatJSON {
		return a.printJSON(a.restoreJSON(r, came, f, true))
	}
	text := "restored " + plural(int(r.Backup.Keys), "key") + ": every server on this machine has forgotten what it knew\n"
	if came.CutAgain > 0 {
		text += plural(came.CutAgain, "key") + " revoked or disabled again\n"
	}
	if came.Kept != "" {
		text += "what was replaced is in " + wording.Clean(came.Kept) + "; remove it when you need it no more\n"
	}
	return a.print(text)
}

// restoreJSON is what a restore did, or would do. What cannot be told is null.
type restoreJSON struct {
	Restored  bool            `json:"restored"`
	Backup    snapshotJSON    `json:"backup"`
	Kept      string          `json:"kept,omitempty"` // the file with what was replaced
	Doubt     string          `json:"doubt,omitempty"`
	Known     bool            `json:"known"`           // what was done since can be told
	Related   bool            `json:"related"`         // the backup is an earlier state
	Changes   int64           `json:"changes"`         // audit rows since
	Missing   *uint64         `json:"missing_changes"` // that were acknowledged, and are not in the present key store
	Undone    bool            `json:"revocations_undone"`
	CutAgain  int             `json:"cut_again"`
	Revoked   []undoneJSON    `json:"revoked"`
	Disabled  []undoneJSON    `json:"disabled"`
	Doubtful  []undoneJSON    `json:"doubtful"`
	Rotated   []undoneJSON    `json:"rotated"`
	Issued    []undoneJSON    `json:"issued"`
	Edited    []undoneJSON    `json:"edited"`
	UsedSince []usedSinceJSON `json:"used"`
}

type undoneJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Owner string `json:"owner"`
}

type usedSinceJSON struct {
	undoneJSON
	LastUsed time.Time `json:"last_used"`
}

func (a *app) restoreJSON(r *sqlite.Restoration, came sqlite.Restored, f *restoreFlags, restored bool) restoreJSON {
	u := r.Undone
	out := restoreJSON{
		Restored: restored, Backup: newSnapshotJSON(r.Backup), Kept: came.Kept, Known: r.Present != nil && r.Missing.None(), Related: u.Related, Changes: u.Events,
		Undone: f.undo, CutAgain: came.CutAgain,
		Revoked: undoneList(u.Revoked), Disabled: undoneList(u.Disabled), Doubtful: undoneList(u.Doubtful),
		Rotated: undoneList(u.Rotated), Issued: undoneList(u.Issued), Edited: undoneList(u.Edited),
	}
	if r.Doubt != nil {
		out.Doubt = sentence(r.Doubt)
	}
	if r.Missing.Unknown == nil {
		out.Missing = &r.Missing.Changes
	}
	if u.UsedDoubt == nil {
		out.UsedSince = []usedSinceJSON{}
	}
	for _, one := range u.Used {
		out.UsedSince = append(out.UsedSince, usedSinceJSON{newUndoneJSON(one.Key), one.At})
	}
	return out
}

func newUndoneJSON(k *keys.Key) undoneJSON { return undoneJSON{k.ID, k.Name, k.Owner} }

func undoneList(list []*keys.Key) []undoneJSON {
	out := []undoneJSON{}
	for _, k := range list {
		out = append(out, newUndoneJSON(k))
	}
	return out
}
