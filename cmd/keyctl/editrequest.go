package main

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/keys"
)

// request turns what was typed into what the domain reads. What adds to a list was
// meant for the list as it is, so it goes by the version that was read.
func (f *editFlags) request(cmd *cobra.Command, k *keys.Key) (req keys.EditRequest, err error) {
	changed := cmd.Flags().Changed
	given := func(flag string, value *string) *string {
		if !changed(flag) {
			return nil
		}
		return value
	}
	req = keys.EditRequest{Name: given("name", &f.name), Owner: given("owner", &f.owner), IfVersion: f.ifVersion}
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
			return nil, usagef("--remove-scope names what the key was not granted; `keyctl show` tells what it was")
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
			return nil, usagef("--remove-meta names a note that the key does not have; `keyctl show` tells which it has")
		}
		delete(notes, name)
	}
	maps.Copy(notes, added)
	return &notes, nil
}

func (f *editFlags) clearFields(req *keys.EditRequest) {
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
