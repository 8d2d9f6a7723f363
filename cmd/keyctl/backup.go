package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func newBackup(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "backup FILE",
		Short:   "Copy the key store into a new file",
		GroupID: groupStore,
		Long: `Copy the key store, as it is now, into a new file, readable by you alone, and
check the copy. Servers and commands go on meanwhile. A FILE that exists is
never overwritten.

The pepper is not in it. Keep a copy of the pepper file elsewhere: without it
every key in the backup is dead, and who has both can forge keys. How often keys
were used is not in it either.`,
		Example: `  keyctl backup keys-2027-01-31.db
  keyctl backup /mnt/backup/keys.db -o json`,
		Args: oneArg("the FILE to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" || args[0] == "" {
				return usagef("backup writes a file, because it reads it again before it calls it a backup; name one")
			}
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			show, done := a.progress("copied")
			made, err := s.Backup(cmd.Context(), args[0], show)
			done()
			if isA[*keys.ChainError](err) {
				return fmt.Errorf("%s was made, but no restore will take it: %w: find out who changed the database, and keep older backups", wording.Clean(made.Path), err)
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

// progress shows on a terminal how far something has come, on one line, which done takes
// away again.
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

// snapshotJSON is what is in a backup.
type snapshotJSON struct {
	File       string     `json:"file"`
	Size       int64      `json:"size"`
	Schema     int        `json:"schema"`
	Keys       int64      `json:"keys"`
	AuditRows  int64      `json:"audit_rows"`
	LastChange *time.Time `json:"last_change"` // null when nothing was ever changed
	Peppers    []string   `json:"peppers"`     // ids of those that it needs
}

func newSnapshotJSON(s sqlite.Snapshot) snapshotJSON {
	return snapshotJSON{s.Path, s.Size, s.Schema, s.Keys, s.Events, moment(s.Newest.At), list(s.Peppers)}
}

func (a *app) printBackup(from connect.Settings, made sqlite.Snapshot) error {
	if a.output == formatJSON {
		return a.printJSON(newSnapshotJSON(made))
	}
	text := "backed up " + wording.Clean(absolute(from.DB)) + "\n\n" + aligned(a.snapshotRows(made), a.width(a.stdout))
	text += "\n" + strings.Join(wrap("The pepper is not in it. Keep a copy of "+wording.Clean(absolute(from.PepperFile))+
		" apart from the backup: without it every key in the backup is dead, and who has both can forge keys.", a.width(a.stdout)-1), "\n") + "\n"
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
