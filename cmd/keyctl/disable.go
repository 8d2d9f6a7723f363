package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newDisable(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "disable KEY",
		Short:   "Have a key refused until it is enabled",
		GroupID: groupKeys,
		Long: `Have a key refused: once this returns, no guard on this machine accepts it until
` + "`keyctl enable`" + `. To disable a disabled key again changes nothing.

` + keyReference,
		Example:           "  keyctl disable ci --reason 'odd calls at night'",
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKey(cmd.Context(), args[0], func(m admin.Manager, k *keys.Key) error {
				after, err := m.Disable(cmd.Context(), k.ID, reason)
				if err != nil {
					return err
				}
				return a.reportChange(k, after, " disabled: no guard on "+a.where()+" accepts it until it is enabled")
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, a `TEXT` for the audit log")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func newEnable(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "enable KEY",
		Short:   "Let a disabled key in again",
		GroupID: groupKeys,
		Long: `Let a disabled key in again. To enable an enabled key changes nothing.

` + keyReference,
		Example:           "  keyctl enable ci",
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKey(cmd.Context(), args[0], func(m admin.Manager, k *keys.Key) error {
				after, err := m.Enable(cmd.Context(), k.ID)
				if err != nil {
					return err
				}
				said := " enabled: guards accept it again"
				if after.Status(a.now()) == keys.StatusExpired {
					said = " enabled, and expired all the same: issue a new key"
				}
				return a.reportChange(k, after, said)
			})
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// withKey resolves what was typed and does something with the key.
func (a *app) withKey(ctx context.Context, ref string, do func(admin.Manager, *keys.Key) error) error {
	return a.withAdmin(ctx, func(m *connect.Admin) error {
		k, err := a.resolve(ctx, m, ref)
		if err != nil {
			return err
		}
		return do(m, k)
	})
}

// reportChange prints the key as it is after a change, and notes when there was none.
func (a *app) reportChange(before, after *keys.Key, said string) error {
	if a.output == formatJSON {
		return a.printJSON(wire.Key(after, a.now()))
	}
	if err := a.print(label(after) + said + "\n"); err != nil {
		return err
	}
	if after.Version == before.Version {
		a.say("note: it was so before; nothing changed")
	}
	return nil
}
