package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The groups of the root's help.
const (
	groupKeys  = "keys"
	groupStore = "store"
	groupOther = "other"
)

func newRoot(a *app) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   a.name(),
		Short: "API keys for internal MCP servers",
		Long: `keyctl issues, lists, checks, rotates and revokes the API keys of internal MCP
servers. It acts on a key store on this machine, or through a server that has
one.`,
		Example: `  keyctl init && keyctl issue ci --tool 'get_*' --expires 90d
  keyctl demo --once`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          func(_ *cobra.Command, args []string) error { return unknownCommand(a, args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.printVersion()
			}
			return cmd.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return errors.Join(checkGiven(cmd), a.checkFormat(cmd))
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.help(cmd) })

	root.Flags().BoolVar(&version, "version", false, "print the version, as the command does")
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "the key store's `FILE` (KEYCTL_DB; default mcpkeys.db)")
	flags.StringVar(&a.pepper, "pepper", "", "its pepper's `FILE` (KEYCTL_PEPPER_FILE; default DB.pepper)")
	flags.StringVar(&a.server, "server", "", "the `URL` of a keyctl serve, instead of a file (KEYCTL_SERVER)")
	flags.BoolVar(&a.insecureHTTP, "insecure-http", false, "allow plain HTTP beyond this machine: keys are then readable on the way")
	flags.VarP(&a.output, "output", "o", "print as `FORMAT`: table, json, jsonl, csv or name")
	_ = root.RegisterFlagCompletionFunc("output", completeFormats) // fails for unknown flags only

	root.AddGroup(
		&cobra.Group{ID: groupKeys, Title: "Keys"},
		&cobra.Group{ID: groupStore, Title: "Key store"},
		&cobra.Group{ID: groupOther, Title: "More"},
	)
	root.AddCommand(
		newIssue(a), newList(a), newShow(a), newUsage(a), newEdit(a), newRotate(a), newDisable(a), newEnable(a), newRevoke(a),
		newVerify(a),
		newScan(a),
		newAudit(a),
		newTUI(a),

		newInit(a),
		newServe(a),
		newImport(a),
		newExport(a),
		newBackup(a),
		newRestore(a),
		newPepper(a),
		newDoctor(a),

		newDemo(a), newCompletion(), newVersion(a),
		newExitCodes(), newEnvironment(),
	)
	root.SetHelpCommand(newHelp(a))
	return root
}

// unknownCommand is what root answers to a first word that is no command.
func unknownCommand(a *app, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range newRoot(a).Commands() {
		names = append(names, append(c.Aliases, c.Name())...)
	}
	if guess := nearest(args[0], names); guess != "" && plainWord(args[0]) {
		return usagef("unknown command %s; did you mean %q?", mention(args[0], 1), guess)
	}
	return usagef("unknown command; `keyctl help` lists them all")
}

// flagError says what is wrong with a flag without repeating what was given for
// its value.
func flagError(cmd *cobra.Command, err error) error {
	var (
		missing *pflag.ValueRequiredError
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &missing):
		return usagef("--%s needs a value; `%s --help` shows which", missing.GetFlag().Name, cmd.CommandPath())
	case errors.As(err, &invalid):
		return usagef("--%s takes a %s", invalid.GetFlag().Name, valueWords[invalid.GetFlag().Value.Type()])
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return unknownFlag(cmd, unknown.GetSpecifiedName())
	}
	return usagef("unknown flag; `%s --help` lists them all", cmd.CommandPath())
}

// valueWords says in words what a type of flag holds.
var valueWords = map[string]string{"int": "whole number", "int64": "whole number", "bool": "true or false, or nothing"}

func unknownFlag(cmd *cobra.Command, name string) error {
	if !cmd.HasParent() {
		if rest := cmd.Flags().Args(); len(rest) > 0 { // the word before the flag was no command
			return cmd.Args(cmd, rest)
		}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if guess := nearest(strings.ToLower(name), names); guess != "" && plainWord(name) {
		return usagef(`unknown flag "--%s"; did you mean --%s?`, name, guess)
	}
	return usagef("unknown flag; `%s --help` lists them all", cmd.CommandPath())
}

// checkGiven refuses a place that was named and left empty: a script's unset variable
// must not act on the key store of nobody's choice, nor print what was for a file.
func checkGiven(cmd *cobra.Command) error {
	var empty []error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if place, _ := pflag.UnquoteUsage(f); (place == "FILE" || place == "URL") && f.Value.String() == "" {
			empty = append(empty, usagef("--%s is empty; name a %s, or leave the flag out", f.Name, place))
		}
	})
	return errors.Join(empty...)
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments; `%s --help` shows how to use it", cmd.Name(), cmd.CommandPath())
	}
	return nil
}

// oneArg is for commands about one thing, which what names.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return usagef("%s needs %s; `%s --help` shows how to use it", cmd.Name(), what, cmd.CommandPath())
		}
		return usagef("%s takes %s and no more; quote what holds spaces", cmd.Name(), what)
	}
}
