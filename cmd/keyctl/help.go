package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelp replaces cobra's own, which ends with 0 on a topic that does not exist.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show how to use a command",
		GroupID: groupOther,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return unknownCommand(cmd.Root(), args)
			case len(rest) > 0 && found.HasSubCommands():
				return unknownCommand(found, rest)
			case len(rest) > 0:
				return usagef("help takes one COMMAND; try `keyctl help %s`", found.Name())
			}
			return found.Help()
		},
	}
}

// help prints the page of cmd, 80 columns wide at most.
func (a *app) help(cmd *cobra.Command) {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(&b, "%s\n", about)
	if cmd.Runnable() {
		fmt.Fprintf(&b, "\nUsage\n  %s\n", usageLine(cmd))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples\n%s\n", cmd.Example)
	}
	helpCommands(&b, cmd)
	if own := ownFlags(cmd); own.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags\n%s", own.FlagUsagesWrapped(defaultWidth-1))
	}
	if cmd.Runnable() {
		fmt.Fprintf(&b, "\nFlags of every command\n%s", cmd.Root().PersistentFlags().FlagUsagesWrapped(defaultWidth-1))
	}
	if !cmd.HasParent() {
		b.WriteString("\n`keyctl help COMMAND` tells more of each.\n")
	}
	_ = a.print(a.renamed(b.String())) // help that nobody reads is no failure
}

// ownFlags are those that not every command has, in the order in which they were
// declared.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	own := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	own.SortFlags = false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && cmd.Root().PersistentFlags().Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	})
	return own
}

func usageLine(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return cmd.Name() + " COMMAND [flags]"
	}
	line := strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + cmd.Use
	if ownFlags(cmd).HasAvailableFlags() {
		line += " [flags]"
	}
	return line
}

// helpCommands lists the commands of cmd by group, topics last.
func helpCommands(b *strings.Builder, cmd *cobra.Command) {
	for _, g := range cmd.Groups() {
		fmt.Fprintf(b, "\n%s\n", g.Title)
		for _, c := range cmd.Commands() {
			if c.GroupID == g.ID && c.IsAvailableCommand() {
				fmt.Fprintf(b, "  %-12s %s\n", c.Name(), c.Short)
			}
		}
	}
	if cmd.HasHelpSubCommands() {
		b.WriteString("\nTopics\n")
		for _, c := range cmd.Commands() {
			if c.IsAdditionalHelpTopicCommand() {
				fmt.Fprintf(b, "  %-12s %s\n", c.Name(), c.Short)
			}
		}
	}
}
