package main

import (
	"cmp"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
)

func newTUI(a *app) *cobra.Command {
	readOnly := false
	cmd := &cobra.Command{
		Use:     "tui",
		Short:   "Show and change keys on a live dashboard",
		GroupID: groupKeys,
		Long: `Show all keys on a live dashboard, where you filter, issue, edit, rotate,
disable and revoke keys. It asks before each change. It shows a new secret once,
on a screen that does not stay in the terminal's scrollback. Through a server,
an admin key without keys:write can only look.`,
		Example: "  keyctl tui\n  keyctl tui --db /var/lib/mcpkeys/keys.db --read-only",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tui.CheckTerminal(a.stdin, a.stdout, a.getenv("TERM")); err != nil {
				return usagef("tui %v", err)
			}
			s, err := a.settings()
			if err != nil {
				return err
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return tui.Run(cmd.Context(), m, a.stdin.(*os.File), a.stdout.(*os.File), &tui.Options{
					Now: a.now, ReadOnly: readOnly, MayChange: m.MayChange, Store: cmp.Or(s.Server, s.DB), Verify: a.command("verify", "-"),
				})
			})
		},
	}
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "look, but change nothing")
	return cmd
}
