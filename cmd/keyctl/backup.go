package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func newBackup(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "backup FILE",
		Short:   "Copy the key store into a new file",
		GroupID: groupStore,
		Long: `Copy the key store into a new file that only you can read, and check the copy.
Servers and commands continue to work. An existing FILE is never overwritten.

The pepper is not in the backup. Keep a copy of the pepper file in another
place: without it no key in the backup can be verified, and with both anyone can
forge keys. The usage counts are not in the backup either.`,
		Example: `  keyctl backup keys-2027-01-31.db
  keyctl backup /mnt/backup/keys.db -o json`,
		Args: oneArg("the FILE to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" || args[0] == "" {
				return usagef("backup writes to a file, because it reads the file again to check it; name a FILE")
			}
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			show, done := a.progress("copied")
			made, err := s.Backup(cmd.Context(), args[0], show)
			done()
			if isA[*connect.UntoldError](err) {
				return fmt.Errorf("%s was made, but it cannot be restored: %w; find out who changed the database, and keep older backups", wording.Clean(made.Path), err)
			}
			if err != nil {
				return err
			}
			return a.printBackup(s, made)
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// progress shows on a terminal how much is done, on one line that done clears.
func (a *app) progress(what string) (show func(done, total int), done func()) {
	if !isTerminal(a.stderr) {
		return nil, func() {}
	}
	shown := -1
	show = func(done, total int) {
		if percent := 100 * done / max(1, total); percent != shown {
			shown = percent
			_, _ = fmt.Fprintf(a.stderr, "\r%s %3d %%", what, percent)
		}
	}
	return show, func() {
		if shown >= 0 {
			_, _ = fmt.Fprintf(a.stderr, "\r%s\r", strings.Repeat(" ", len(what)+6))
		}
	}
}

// snapshotJSON describes a backup.
type snapshotJSON struct {
	File       string     `json:"file"`
	Size       int64      `json:"size"`
	Schema     int        `json:"schema"`
	Keys       int64      `json:"keys"`
	AuditRows  int64      `json:"audit_rows"`
	LastChange *time.Time `json:"last_change"` // null if no key was ever made
	Peppers    []string   `json:"peppers"`     // the ids of the peppers that it needs
}

func newSnapshotJSON(s sqlite.Snapshot) snapshotJSON {
	return snapshotJSON{s.Path, s.Size, s.Schema, s.Keys, s.Events, wire.Moment(s.Newest.At), wire.List(s.Peppers)}
}

func (a *app) printBackup(from connect.Settings, made sqlite.Snapshot) error {
	if a.output == formatJSON {
		return a.printJSON(newSnapshotJSON(made))
	}
	text := "backed up " + wording.Clean(absolute(from.DB)) + "\n\n" + aligned(a.snapshotRows(made), a.width(a.stdout))
	text += "\n" + folded("The pepper is not in it. Keep a copy of "+wording.Clean(absolute(from.PepperFile))+
		" in another place: without it no key in the backup can be verified, and with both anyone can forge keys.", a.width(a.stdout))
	return a.print(text)
}

func (a *app) snapshotRows(s sqlite.Snapshot) []row {
	last := "none: no key was ever made"
	if s.Events > 0 {
		last = a.when(s.Newest.At)
	}
	return []row{
		{"file", s.Path},
		{"size", wording.Bytes(s.Size)},
		{"keys", fmt.Sprint(s.Keys)},
		{"audit rows", fmt.Sprint(s.Events)},
		{"last change", last},
		{"needs", "pepper " + strings.Join(s.Peppers, ", pepper ")},
	}
}

type restoreFlags struct{ undo, dryRun, yes bool }

func newRestore(a *app) *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Replace the key store by a backup",
		GroupID: groupStore,
		Long: `Replace the key store by a backup. First it checks that the backup is complete,
that its audit log was not changed and matches its keys, and that the pepper
file fits it. It copies the present key store to a file beside it. Running
servers use the restored keys at once.

Changes since the backup are undone; they are listed before anything is changed.
Keys that were revoked or disabled since stay revoked or disabled, unless you
give --undo-revocations. This needs a present key store with all changes. If it
is missing or damaged, or lacks changes because its log was removed or an older
file was copied over it, look at the keys after the restore and revoke again.`,
		Example: `  keyctl restore keys-2027-01-31.db --dry-run
  keyctl restore keys-2027-01-31.db`,
		Args: oneArg("the FILE of a backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" || args[0] == "-" {
				return usagef("restore reads its file more than once; name a FILE")
			}
			if !f.yes && !f.dryRun && !a.canAsk() {
				return usagef("restore asks first, but standard input is not a terminal; look with --dry-run, then use --yes")
			}
			return a.restore(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.undo, "undo-revocations", false, "accept keys again that were revoked or disabled since the backup")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only check the backup and list what would be undone")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) restore(ctx context.Context, file string, f *restoreFlags) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	r, err := s.Restore(ctx, file)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it only removes temporary copies
	if f.dryRun {
		return a.reportDryRestore(r, f)
	}
	if a.output != formatJSON || !f.yes { // the question needs it, also with -o json
		a.say("%s", a.foretold(r, f))
	}
	if !f.yes {
		yes, err := ask(ctx, restoreQuestion(r, absolute(s.DB)))
		if err != nil {
			return err
		}
		if !yes {
			return usagef("nothing was restored")
		}
	}
	show, done := a.progress("restored")
	came, err := r.Run(ctx, sqlite.RestoreOptions{Actor: connect.Actor(), UndoRevocations: f.undo, Now: a.now, Progress: show})
	done()
	if err != nil {
		return err
	}
	return a.reportRestored(r, came, f)
}

// foretold describes the backup and what the restore undoes, before the question.
func (a *app) foretold(r *sqlite.Restoration, f *restoreFlags) string {
	text := "backup\n" + aligned(a.snapshotRows(r.Backup), a.width(a.stdout)) + "\n"
	for _, line := range a.undone(r, f) {
		text += folded(line, a.width(a.stdout))
	}
	return text
}

// undone lists the changes since the backup and what the restore makes of them, the dangerous
// ones first.
func (a *app) undone(r *sqlite.Restoration, f *restoreFlags) []string {
	u := r.Undone
	var lines []string
	say := func(text string, args ...any) { lines = append(lines, fmt.Sprintf(text, args...)) }
	warn := func(text string, args ...any) { say("warning: "+text, args...) }
	if r.Doubt != nil {
		warn("the present key store has a problem: %s", sentence(r.Doubt))
	}
	if len(r.Tampered) > 0 {
		warn("keys in the backup were changed outside mcpkeys, and no server accepts them. Use an older backup, or revoke them after the restore: %s", wording.Clean(some(r.Tampered)))
	}
	if r.Present != nil && !r.Missing.None() {
		warn("%s. A key that such a change revoked is valid again: look at the keys after the restore, and revoke again.", lacking(r.Missing))
	}
	switch {
	case r.Present == nil:
		warn("the changes since the backup are not known. Keys that were revoked since are valid again: look at the keys after the restore, and revoke them.")
	case !u.Related:
		warn("the backup is not an earlier state of this key store; the two are compared key by key.")
	case u.Events == 0 && r.Doubt == nil && r.Missing.None():
		say("Nothing was changed since the backup.")
	}
	revoked, disabled := "revoked again", "disabled again"
	if f.undo {
		revoked, disabled = "valid again", "valid again"
	}
	tellKeys(say, u.Revoked, "revoked since, and "+revoked)
	tellKeys(say, u.Disabled, "disabled since, and "+disabled)
	tellKeys(say, u.Doubtful, "revoked or disabled only by a change outside mcpkeys, and valid again")
	tellKeys(say, u.Rotated, "rotated since: the old secret is valid again, and the new one is not")
	tellKeys(say, u.Issued, "issued since, and removed")
	tellKeys(say, u.Edited, "edited since, and put back to its earlier state")
	if u.UsedDoubt != nil {
		say("It is not known which keys were used since: %s", sentence(u.UsedDoubt))
	}
	used := make([]string, len(u.Used))
	for i, one := range u.Used {
		used[i] = label(one.Key) + " " + wording.Relative(one.At, a.now())
	}
	tell(say, used, "used since")
	return lines
}

// lacking says which acknowledged changes the present key store lacks.
func lacking(m sqlite.Missing) string {
	if m.Unknown != nil {
		return "it is not known whether the present key store lacks acknowledged changes, perhaps revocations ('keyctl doctor' says why)"
	}
	return fmt.Sprintf("the present key store lacks %s, perhaps revocations", acknowledged(m))
}

func acknowledged(m sqlite.Missing) string {
	return wording.Counted(int(m.Changes), "acknowledged change", "acknowledged changes") //nolint:gosec // 48 bits
}

// restoreQuestion is the question after the description.
func restoreQuestion(r *sqlite.Restoration, path string) string {
	what := "Restore over " + wording.Clean(path)
	switch m := r.Missing; {
	case errors.Is(m.Unknown, fs.ErrNotExist):
		return "Restore to " + wording.Clean(path) + "?"
	case m.Unknown != nil:
		return what + ", which may lack acknowledged changes?"
	case m.Changes > 0:
		return what + ", which lacks " + acknowledged(m) + ", perhaps revocations?"
	}
	return what + "?"
}

// mostTold is how many keys are listed by name; -o json lists all.
const mostTold = 20

func tellKeys(say func(string, ...any), list []*keys.Key, what string) {
	labels := make([]string, len(list))
	for i, k := range list {
		labels[i] = label(k)
	}
	tell(say, labels, what)
}

func tell(say func(string, ...any), labels []string, what string) {
	if n := len(labels); n > 0 {
		say("%s %s: %s", wording.Counted(n, "key", "keys"), what, some(labels))
	}
}

// some lists the first ids, and the number of the others.
func some(ids []string) string {
	if n := len(ids); n > mostTold {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:mostTold], ", "), n-mostTold)
	}
	return strings.Join(ids, ", ")
}

func (a *app) reportDryRestore(r *sqlite.Restoration, f *restoreFlags) error {
	if a.output == formatJSON {
		return a.printJSON(a.restoreJSON(r, sqlite.Restored{}, f, false))
	}
	if err := a.print(a.foretold(r, f)); err != nil {
		return err
	}
	a.say("dry run: the backup can be restored; nothing was changed")
	return nil
}

func (a *app) reportRestored(r *sqlite.Restoration, came sqlite.Restored, f *restoreFlags) error {
	if a.output == formatJSON {
		return a.printJSON(a.restoreJSON(r, came, f, true))
	}
	text := "restored " + wording.Counted(int(r.Backup.Keys), "key", "keys") + ": running servers on this machine now use them\n"
	if came.CutAgain > 0 {
		text += wording.Counted(came.CutAgain, "key", "keys") + " revoked or disabled again\n"
	}
	if came.Kept != "" {
		text += "the previous key store is in " + wording.Clean(came.Kept) + "; remove the file when you no longer need it\n"
	}
	return a.print(text)
}

// restoreJSON is what a restore did, or would do. What is not known is null.
type restoreJSON struct {
	Restored  bool            `json:"restored"`
	Backup    snapshotJSON    `json:"backup"`
	Kept      string          `json:"kept,omitempty"` // the file with the previous key store
	Doubt     string          `json:"doubt,omitempty"`
	Known     bool            `json:"known"`           // the changes since the backup are known
	Related   bool            `json:"related"`         // the backup is an earlier state of this key store
	Changes   int64           `json:"changes"`         // audit rows since
	Missing   *uint64         `json:"missing_changes"` // acknowledged changes that the present key store lacks
	Undone    bool            `json:"revocations_undone"`
	CutAgain  int             `json:"cut_again"`
	Tampered  []string        `json:"tampered"` // ids of keys in the backup that were changed outside mcpkeys
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
		Undone: f.undo, CutAgain: came.CutAgain, Tampered: wire.List(r.Tampered),
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
