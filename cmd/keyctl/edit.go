package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type editFlags struct {
	name, owner, expires, rate           string
	maxKeyLife                           string
	scopes, addScopes, removeScopes      []string
	tools, prompts, resources            []string
	audience, allowIPs, meta, removeMeta []string
	clear                                []string
	ifVersion                            int64
	effect                               effect
}

func newEdit(a *app) *cobra.Command {
	f := &editFlags{}
	cmd := &cobra.Command{
		Use:     "edit KEY",
		Short:   "Change a key's name, grants, limits or expiry",
		GroupID: groupKeys,
		Long: `Change the named fields of a key, and print what changed. Guards use the new
values from the next request on; guards on other hosts may need up to 2.1 s for
more rights, and for fewer rights this command waits for them.

--scope, --tool, --prompt and --resource together replace all that the key may
do; --add-scope and --remove-scope change single scopes. --audience and
--allow-ip replace the whole list. --meta and --remove-meta change single notes.

To change the secret, use rotate. An expired key cannot get a new expiry.

` + keyReference,
		Example: `  keyctl edit ci --add-scope 'tools:set_*' --expires 30d
  keyctl edit ci --audience weather,mail
  keyctl edit ci --clear rate --if-version 3`,
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.withKey(cmd.Context(), args[0], func(m admin.Manager, k *keys.Key) error {
				req, err := f.request(cmd, k)
				if err != nil {
					return err
				}
				after, err := m.Edit(f.effect.of(cmd.Context()), k.ID, req)
				if err != nil {
					return err
				}
				return a.reportEdit(k, after, &f.effect)
			})
		},
	}
	f.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// reportEdit prints the key's new version, what changed, and warnings.
func (a *app) reportEdit(before, after *keys.Key, e *effect) error {
	if a.output == formatJSON {
		return a.printJSON(e.json(changedJSON(after, a.now())))
	}
	said := fmt.Sprintf(" is at version %d", after.Version)
	for _, part := range wording.Difference(before, after, a.now()) {
		said += "\n  " + wording.Clean(part)
	}
	if err := a.reportChange(before, after, e, said, "these values are already set"); err != nil {
		return err
	}
	a.warnings(after)
	return nil
}

func (f *editFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "the new `NAME`")
	flags.StringVar(&f.owner, "owner", "", "the new `OWNER`: a person or team")
	listVar(flags, &f.scopes, "scope", "grant this `SCOPE`, in place of all grants")
	listVar(flags, &f.tools, "tool", "allow this `TOOL`, such as get_*, in place of all grants")
	listVar(flags, &f.prompts, "prompt", "allow this `PROMPT`, in place of all grants")
	listVar(flags, &f.resources, "resource", "allow this `URI`, in place of all grants")
	listVar(flags, &f.addScopes, "add-scope", "also grant this `SCOPE`")
	listVar(flags, &f.removeScopes, "remove-scope", "no longer grant this `SCOPE`")
	listVar(flags, &f.audience, "audience", "only for this `SERVER`")
	flags.StringVar(&f.expires, "expires", "", "expires at `TIME`: 90d (from now), 2027-01-31, never")
	flags.StringVar(&f.rate, "rate", "", "may call at this `RATE`: 60/m, 100/10s, or 1000/h:50")
	flags.StringVar(&f.maxKeyLife, "max-key-life", "", "of an admin key: the keys that it issues expire within this `TIME`; never means no limit")
	listVar(flags, &f.allowIPs, "allow-ip", "may call only from this `CIDR` or address")
	flags.StringArrayVar(&f.meta, "meta", nil, "add or replace a note, `NAME=VALUE`; repeat it for more")
	flags.StringArrayVar(&f.removeMeta, "remove-meta", nil, "remove the note with this `NAME`; repeat it for more")
	listVar(flags, &f.clear, "clear", "make this `FIELD` empty: "+strings.Join(clearable, ", "))
	flags.Int64Var(&f.ifVersion, "if-version", 0, "change the key only if its version is this `NUMBER`; show prints it")
	f.effect.register(cmd)
}

// clearable are the fields that may be empty. An empty value in another flag does not clear
// a field: it may come from an unset variable of a script, and no audience means every
// server.
var clearable = []string{"owner", "scopes", "audience", "rate", "allow-ip", "meta"}

// check refuses flags that are wrong for any key.
func (f *editFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	for _, flag := range []string{"owner", "rate", "expires", "max-key-life"} {
		if changed(flag) && cmd.Flags().Lookup(flag).Value.String() == "" {
			return usagef("--%s is empty; give it a value, or use --clear FIELD to empty a field", flag)
		}
	}
	set := map[string]bool{
		"owner": changed("owner"), "rate": changed("rate"), "audience": changed("audience"), "allow-ip": changed("allow-ip"),
		"scopes": f.namesAll(cmd) || changed("add-scope") || changed("remove-scope"), "meta": changed("meta") || changed("remove-meta"),
	}
	for _, field := range f.clear {
		if !slices.Contains(clearable, field) {
			return usagef("--clear takes one of %s", strings.Join(clearable, ", "))
		}
		if set[field] {
			return usagef("--clear %s contradicts another flag; use one of the two", field)
		}
	}
	switch {
	case f.namesAll(cmd) && (changed("add-scope") || changed("remove-scope")):
		return usagef("--add-scope and --remove-scope do not go with --scope, --tool, --prompt and --resource, which replace all grants")
	case changed("if-version") && f.ifVersion < 1:
		return usagef("--if-version takes the version that `keyctl show` prints, 1 or more")
	}
	return nil
}

// namesAll reports whether a flag was given that replaces all grants.
func (f *editFlags) namesAll(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"scope", "tool", "prompt", "resource"}, cmd.Flags().Changed)
}

// request turns the flags into a request. A flag that changes single scopes or notes is for
// the key as it was read, so the request then names that version.
func (f *editFlags) request(cmd *cobra.Command, k *keys.Key) (req admin.EditRequest, err error) {
	changed := cmd.Flags().Changed
	given := func(flag string, value *string) *string {
		if !changed(flag) {
			return nil
		}
		return value
	}
	req = admin.EditRequest{Name: given("name", &f.name), Owner: given("owner", &f.owner), IfVersion: f.ifVersion}
	if changed("audience") {
		req.Audience = &f.audience
	}
	if changed("allow-ip") {
		list, err := keys.ParseAllowedIPs(f.allowIPs)
		if err != nil {
			return req, err
		}
		req.AllowedIPs = &list
	}
	if changed("rate") {
		limit, err := keys.ParseRateLimit(f.rate)
		if err != nil {
			return req, err
		}
		req.RateLimit = &limit
	}
	if changed("expires") {
		e, err := keys.ParseExpiry(f.expires)
		if err != nil {
			return req, err
		}
		req.Expires = &e
	}
	if changed("max-key-life") {
		life, err := keys.ParseKeyLife(f.maxKeyLife)
		if err != nil {
			return req, err
		}
		req.MaxKeyLife = &life
	}
	if req.Scopes, err = f.newScopes(k); err != nil {
		return req, err
	}
	if req.Metadata, err = f.newMetadata(k); err != nil {
		return req, err
	}
	if req.IfVersion == 0 && len(f.addScopes)+len(f.removeScopes)+len(f.meta)+len(f.removeMeta) > 0 {
		req.IfVersion = k.Version
	}
	f.clearFields(&req)
	return req, nil
}

func (f *editFlags) newScopes(k *keys.Key) (*[]string, error) {
	if all := grants(f.scopes, f.tools, f.prompts, f.resources); len(all) > 0 {
		return &all, nil
	}
	if len(f.addScopes)+len(f.removeScopes) == 0 {
		return nil, nil
	}
	scopes := slices.Clone(k.Scopes)
	for _, scope := range f.removeScopes {
		if !slices.Contains(scopes, scope) {
			return nil, usagef("--remove-scope names a scope that the key was not granted; `keyctl show` prints its scopes")
		}
		scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == scope })
	}
	scopes = append(scopes, f.addScopes...)
	return &scopes, nil
}

func (f *editFlags) newMetadata(k *keys.Key) (*map[string]string, error) {
	if len(f.meta)+len(f.removeMeta) == 0 {
		return nil, nil
	}
	added, err := metadata(f.meta)
	if err != nil {
		return nil, err
	}
	notes := maps.Clone(k.Metadata)
	if notes == nil {
		notes = map[string]string{}
	}
	for _, name := range f.removeMeta {
		if _, there := notes[name]; !there {
			return nil, usagef("--remove-meta names a note that the key does not have; `keyctl show` prints its notes")
		}
		delete(notes, name)
	}
	maps.Copy(notes, added)
	return &notes, nil
}

func (f *editFlags) clearFields(req *admin.EditRequest) {
	for _, field := range f.clear {
		switch field {
		case "owner":
			req.Owner = new("")
		case "scopes":
			req.Scopes = &[]string{}
		case "audience":
			req.Audience = &[]string{}
		case "rate":
			req.RateLimit = &keys.RateLimit{}
		case "allow-ip":
			req.AllowedIPs = &[]netip.Prefix{}
		case "meta":
			req.Metadata = &map[string]string{}
		}
	}
}
