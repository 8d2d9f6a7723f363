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
	var e effect
	cmd := &cobra.Command{
		Use:     "disable KEY",
		Short:   "Refuse a key until it is enabled again",
		GroupID: groupKeys,
		Long: `Refuse a key: once this returns, no guard accepts it, on any host, until you run
` + "`keyctl enable`" + `. Disabling a disabled key changes nothing.

` + keyReference,
		Example:           "  keyctl disable ci --reason 'odd calls at night'",
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKey(cmd.Context(), args[0], func(m admin.Manager, k *keys.Key) error {
				after, err := m.Disable(e.of(cmd.Context()), k.ID, reason)
				if err != nil {
					return err
				}
				said := " disabled: no guard accepts it until it is enabled"
				if e.noWait {
					said = " disabled: " + a.refusal(&e)
				}
				return a.reportChange(k, after, &e, said, "already disabled")
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "write `TEXT` into the audit log as the reason")
	e.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func newEnable(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "enable KEY",
		Short:   "Accept a disabled key again",
		GroupID: groupKeys,
		Long: `Accept a disabled key again. Enabling an enabled key changes nothing.

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
					said = " enabled, but it has expired: issue a new key"
				}
				return a.reportChange(k, after, &effect{}, said, "already enabled")
			})
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// withKey finds the key that was typed and runs do with it.
func (a *app) withKey(ctx context.Context, ref string, do func(admin.Manager, *keys.Key) error) error {
	return a.withAdmin(ctx, func(m *connect.Admin) error {
		k, err := a.resolve(ctx, m, ref)
		if err != nil {
			return err
		}
		return do(m, k)
	})
}

// reportChange prints the key after a change. If nothing changed it says so: already is how
// the key was before.
func (a *app) reportChange(before, after *keys.Key, e *effect, said, already string) error {
	if a.output == formatJSON {
		return a.printJSON(e.json(wire.Key(after, a.now())))
	}
	if err := a.print(label(after) + said + "\n"); err != nil {
		return err
	}
	if after.Version == before.Version {
		a.say("note: %s; nothing changed", already)
	}
	a.noteEffect(e)
	return nil
}
