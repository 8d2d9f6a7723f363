package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
)

func newInit(a *app) *cobra.Command {
	sameStore := false
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make a key store",
		GroupID: groupStore,
		Long: `Make a key store: a database for the keys, and a pepper file, without which no
key can be verified or forged. Only you can read the two files. Existing files
are never overwritten.

A pepper file that exists is used, unless it already belongs to a key store. If
the database of that store is lost, restore a backup. Without a backup, make the
store again with --same-store: it uses the pepper file, but its keys are gone.`,
		Example: `  keyctl init
  keyctl init --db /var/lib/mcpkeys/keys.db --pepper /etc/mcpkeys/pepper`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			create := s.Create
			if sameStore {
				create = s.Recreate
			}
			if err := create(); err != nil {
				return err
			}
			return a.printInit(s)
		},
	}
	cmd.Flags().BoolVar(&sameStore, "same-store", false, "use the pepper file of a key store whose database is lost")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) printInit(s connect.Settings) error {
	db, pepper := absolute(s.DB), absolute(s.PepperFile)
	if a.output == formatJSON {
		return a.printJSON(map[string]string{"db": db, "pepper": pepper})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "made a key store\n\n")
	fmt.Fprintf(&b, "  database  %s\n  pepper    %s\n\n", wording.Clean(db), wording.Clean(pepper))
	b.WriteString("Back up both, and keep the two backups apart: without the pepper no key can be\n" +
		"verified, and with both anyone can forge keys.\n\n")
	fmt.Fprintf(&b, "next: %s\n", a.command("issue", "ci", "--tool", "get_*"))
	return a.print(b.String())
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
