package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		Short:   "Print a script that completes commands and flags",
		GroupID: groupOther,
		Long: strings.NewReplacer(`/keyctl"`, `/`+a.name()+`"`, "_keyctl", "_"+a.name(), "/keyctl.fish", "/"+a.name()+".fish").Replace(`Print a script for your shell that completes keyctl's commands, flags and keys.

For the shell you are in, bash or zsh:

  source <(keyctl completion bash)

For every shell from now on:

  bash  D=~/.local/share/bash-completion/completions; mkdir -p "$D"
        keyctl completion bash >"$D/keyctl"
  zsh   keyctl completion zsh >"${fpath[1]}/_keyctl"
  fish  keyctl completion fish >~/.config/fish/completions/keyctl.fish

In PowerShell: keyctl completion powershell | Out-String | Invoke-Expression`),
		ValidArgs: shells,
		Args:      oneArg("a shell: bash, zsh, fish or powershell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usagef("completion takes one of bash, zsh, fish, powershell")
		},
	}
}

// completeKeys offers the labels of the unrevoked keys. If the store cannot be opened it
// offers nothing: completion cannot show errors.
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

// completeFormats offers the formats that cmd can print.
func completeFormats(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return strings.Fields(cmd.Annotations[formatsAnnotation]), cobra.ShellCompDirectiveNoFileComp
}
