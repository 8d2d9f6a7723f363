package main

import "github.com/spf13/cobra"

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		Short:   "Print a script that completes commands and flags",
		GroupID: groupOther,
		Long: `Print a script for your shell that completes keyctl's commands and flags.

  bash        keyctl completion bash > ~/.local/share/bash-completion/completions/keyctl
  zsh         keyctl completion zsh > "${fpath[1]}/_keyctl"
  fish        keyctl completion fish > ~/.config/fish/completions/keyctl.fish
  powershell  keyctl completion powershell | Out-String | Invoke-Expression

It takes effect in a new shell. For this one only: source <(keyctl completion bash)`,
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
			return usagef("completion knows bash, zsh, fish and powershell")
		},
	}
}
