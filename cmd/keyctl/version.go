package main

import (
	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/buildinfo"
	"github.com/mcpkeys/mcpkeys/internal/connect"
)

type versionJSON struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	SQLite   string `json:"sqlite"`
}

func newVersion(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupOther,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) printVersion() error {
	build, sqlite := buildinfo.Read(), connect.SQLiteVersion()
	if a.output == formatJSON {
		return a.printJSON(versionJSON{build.Version, build.Revision, build.Modified, build.Go, sqlite})
	}
	return a.print(build.Line(a.name(), "SQLite "+sqlite) + "\n")
}
