package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

type completer = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// completeFlags has the shell offer values for the flags of every command below parent: the
// few words that a flag takes, or what the keys of the store have.
func (a *app) completeFlags(parent *cobra.Command) {
	values := map[string]completer{
		"status":     oneOf(keys.StatusActive, keys.StatusExpiring, keys.StatusExpired, keys.StatusDisabled, keys.StatusRevoked),
		"kind":       oneOf(keys.KindKey, keys.KindAdmin),
		"action":     oneOf(audit.Actions()...),
		"log-format": oneOf("text", "json"),
		"format":     oneOf("jsonl", "csv"),
		"owner":      a.inUse(func(k *keys.Key) []string { return []string{k.Owner} }),
		"audience":   a.inUse(func(k *keys.Key) []string { return k.Audience }),
		"scope":      a.inUse(func(k *keys.Key) []string { return k.Scopes }),
		"tool":       a.inUse(scopesUnder("tools:")),
		"prompt":     a.inUse(scopesUnder("prompts:")),
		"resource":   a.inUse(scopesUnder("resources:")),
		"clear":      oneOf(clearable...),
	}
	for _, cmd := range parent.Commands() {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			name := strings.TrimPrefix(strings.TrimPrefix(f.Name, "add-"), "remove-")
			if complete := values[name]; complete != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails for unknown flags only
			}
		})
		a.completeFlags(cmd)
	}
}

// scopesUnder returns the rest of a key's scopes that begin with prefix, as --tool takes them.
func scopesUnder(prefix string) func(*keys.Key) []string {
	return func(k *keys.Key) (names []string) {
		for _, scope := range k.Scopes {
			if name, ok := strings.CutPrefix(scope, prefix); ok {
				names = append(names, name)
			}
		}
		return names
	}
}

func oneOf[T ~string](words ...T) completer {
	return func(*cobra.Command, []string, string) (list []string, _ cobra.ShellCompDirective) {
		for _, w := range words {
			list = append(list, string(w))
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// inUse offers what the unrevoked keys have, after the values that were typed with commas
// between them. Like completeKeys it offers nothing if the store cannot be read.
func (a *app) inUse(of func(*keys.Key) []string) completer {
	return func(cmd *cobra.Command, _ []string, typed string) (list []string, _ cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		_ = a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
			page, err := m.List(cmd.Context(), keys.Query{Unrevoked: true, Limit: keys.MaxLimit})
			for _, k := range page.Keys {
				for _, value := range of(k) {
					if value != "" {
						list = append(list, before+wording.Clean(value))
					}
				}
			}
			return err
		})
		slices.Sort(list)
		return slices.Compact(list), cobra.ShellCompDirectiveNoFileComp
	}
}
