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
		Short:   "Show all keys on a live dashboard",
		GroupID: groupKeys,
		Long: `Show all keys on a live dashboard, where they are filtered, looked at, issued,
edited, rotated, disabled and revoked; each change is asked about first. A new
secret is shown once, on a screen that is left on purpose only and does not stay
in the terminal's scrollback. Through a server, an admin key without keys:write
may only look.`,
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
