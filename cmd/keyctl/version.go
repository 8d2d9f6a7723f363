package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/buildinfo"
	"github.com/mcpkeys/mcpkeys/internal/connect"
)

func newVersion(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupOther,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				SQLite  string `json:"sqlite"`
			}{buildinfo.Version(), runtime.Version(), connect.SQLiteVersion()}
			if a.output == formatJSON {
				return a.printJSON(v)
			}
			return a.print(fmt.Sprintf("keyctl %s (%s, SQLite %s)\n", v.Version, v.Go, v.SQLite))
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}
