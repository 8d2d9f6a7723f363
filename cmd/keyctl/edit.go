package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/keys"
)

type editFlags struct {
	name, owner, expires, rate           string
	scopes, addScopes, removeScopes      []string
	audience, allowIPs, meta, removeMeta []string
	clear                                []string
	ifVersion                            int64
}

func newEdit(a *app) *cobra.Command {
	f := &editFlags{}
	cmd := &cobra.Command{
		Use:     "edit KEY",
		Short:   "Change what a key is called, may do, or when it ends",
		GroupID: groupKeys,
		Long: `Change what is named, and nothing else. Guards on this machine go by it from the
next request on. What takes several values replaces all that were there, but for
--add-scope, --remove-scope, --meta and --remove-meta. A secret is not changed:
that is rotate. An expired key gets no new end.

` + keyReference,
		Example: `  keyctl edit ci --add-scope 'tools:set_*' --expires 30d
  keyctl edit ci --audience weather --audience mail
  keyctl edit ci --clear rate --if-version 3`,
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.withKey(cmd.Context(), args[0], func(m keys.Manager, k *keys.Key) error {
				req, err := f.request(cmd, k)
				if err != nil {
					return err
				}
				after, err := m.Edit(cmd.Context(), k.ID, req)
				if err != nil {
					return err
				}
				return a.reportChange(k, after, fmt.Sprintf(" is at version %d", after.Version))
			})
		},
	}
	f.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (f *editFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what it is called, a `NAME`")
	flags.StringVar(&f.owner, "owner", "", "the `OWNER`, who answers for it")
	flags.StringArrayVar(&f.scopes, "scope", nil, "it is granted this `SCOPE` and no other; repeatable")
	flags.StringArrayVar(&f.addScopes, "add-scope", nil, "it is granted this `SCOPE` too; repeatable")
	flags.StringArrayVar(&f.removeScopes, "remove-scope", nil, "it is no longer granted this `SCOPE`; repeatable")
	flags.StringArrayVar(&f.audience, "audience", nil, "it is for this `SERVER` and no other; repeatable")
	flags.StringVar(&f.expires, "expires", "", "it ends at this `TIME`: 90d (from now), 2027-01-31, never")
	flags.StringVar(&f.rate, "rate", "", "it may call at this `RATE`: 60/m, 100/10s, or 1000/h:50; keyctl issue --help says what a call is")
	flags.StringArrayVar(&f.allowIPs, "allow-ip", nil, "it may call from this `CIDR` or address alone; repeatable")
	flags.StringArrayVar(&f.meta, "meta", nil, "add or replace a note, `NAME=VALUE`; repeatable")
	flags.StringArrayVar(&f.removeMeta, "remove-meta", nil, "remove the note of this `NAME`; repeatable")
	flags.StringArrayVar(&f.clear, "clear", nil, "have none of this `FIELD`: "+strings.Join(clearable, ", ")+"; repeatable")
	flags.Int64Var(&f.ifVersion, "if-version", 0, "only if the key is at this version, a `NUMBER` that show tells")
}

// clearable are the fields that may be empty. An empty value elsewhere is no way to
// say so: it is what an unset variable of a script looks like, and no audience at all
// means every server.
var clearable = []string{"owner", "scopes", "audience", "rate", "allow-ip", "meta"}

// check refuses what cannot be meant whatever the key.
func (f *editFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	for _, flag := range []string{"owner", "rate", "expires"} {
		if changed(flag) && cmd.Flags().Lookup(flag).Value.String() == "" {
			return usagef("--%s is empty; give it a value, or say --clear FIELD for what shall have none", flag)
		}
	}
	set := map[string]bool{
		"owner": changed("owner"), "rate": changed("rate"), "audience": changed("audience"), "allow-ip": changed("allow-ip"),
		"scopes": changed("scope") || changed("add-scope") || changed("remove-scope"), "meta": changed("meta") || changed("remove-meta"),
	}
	for _, field := range f.clear {
		if !slices.Contains(clearable, field) {
			return usagef("--clear takes one of %s", strings.Join(clearable, ", "))
		}
		if set[field] {
			return usagef("--clear %s contradicts another flag; say one of the two", field)
		}
	}
	switch {
	case changed("scope") && (changed("add-scope") || changed("remove-scope")):
		return usagef("--scope names all scopes there shall be, so --add-scope and --remove-scope do not go with it")
	case changed("if-version") && f.ifVersion < 1:
		return usagef("--if-version takes a version that show tells, 1 or more")
	}
	return nil
}
