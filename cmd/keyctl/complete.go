package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// completeKeys offers the unrevoked keys by label. A store that cannot be opened
// offers nothing: completion is no place for errors.
func (a *app) completeKeys(cmd *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
	var labels []string
	if cmd.Name() != "revoke" && len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_ = a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
		page, err := m.List(cmd.Context(), keys.Query{Unrevoked: true, Limit: keys.MaxLimit})
		for _, k := range page.Keys {
			labels = append(labels, wording.Clean(k.Label())+"\t"+k.ID)
		}
		return err
	})
	return labels, cobra.ShellCompDirectiveNoFileComp
}

// completeFormats offers what cmd can print.
func completeFormats(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return strings.Fields(cmd.Annotations[formatsAnnotation]), cobra.ShellCompDirectiveNoFileComp
}
