package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mcpkeys/mcpkeys/internal/app/buildinfo"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
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
		b.WriteString("\n`keyctl help COMMAND` explains one command.\n")
	}
	_ = a.print(a.renamed(b.String())) // if standard output is closed, help is not needed
}

// ownFlags are the flags that only this command has, in the order of their declaration.
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

// Commands that cannot be run are help topics.

func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes of keyctl

    0  it worked; verify: the key is valid
    1  wrong command line: a flag, a value, a missing --yes
    2  the key store cannot be used: missing, locked, damaged, a wrong pepper,
       a key that was changed outside mcpkeys; or the server cannot be reached
    3  verify: the key is not valid; the reason is on standard output. revoke -:
       a rotation had already ended that secret; the key was not revoked
    4  denied: the admin key is not accepted, or may not do that
    5  some of several keys failed, and each is listed; scan: keys were found
    6  no such key
    7  conflict: the name is taken, the file exists, several keys match, the
       key's state does not allow it, or the key has another version
    8  the change may be lost: the key store's files were replaced while it was
       made; look whether the change is there, and repeat it if it is not
  130  interrupted

With -o json or jsonl, a failure leaves standard output empty and writes one
object to standard error: {"error": {"code": "...", "message": "..."}}.`,
	}
}

func newEnvironment() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Which environment variables are read",
		Long: `Environment variables of keyctl

  KEYCTL_DB              file of the key store, if --db is not given
  KEYCTL_PEPPER_FILE     file of its pepper, if --pepper is not given
  KEYCTL_SERVER          URL of a keyctl serve, or unix:SOCKET, if --server is
                         not given; do not combine it with KEYCTL_DB
  KEYCTL_SERVER_USER     user that runs the keyctl serve of unix:SOCKET, if it
                         is neither root nor you
  KEYCTL_ADMIN_KEY_FILE  file with the admin key for that server
  KEYCTL_ADMIN_KEY       the admin key itself, if there is no file
  MCPKEYS_ALLOW_GROUP    1 allows one of your groups to open the files of the
                         key store, where the platform sets group bits (fsGroup)
  COLUMNS                how wide a table may be; if unset, the width of the
                         terminal; tables in files and pipes are not cut
  NO_COLOR               any value turns colours off

An empty variable counts as unset. The demo reads no KEYCTL_ variable.`,
	}
}

type versionJSON struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	SQLite   string `json:"sqlite"`
}

func newVersion(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupOther,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) printVersion() error {
	build, sqlite := buildinfo.Read(), connect.SQLiteVersion()
	if a.output == formatJSON {
		return a.printJSON(versionJSON{build.Version, build.Revision, build.Modified, build.Go, sqlite})
	}
	return a.print(build.Line(a.name(), "SQLite "+sqlite) + "\n")
}
