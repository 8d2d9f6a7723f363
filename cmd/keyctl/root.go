package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
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
		Long: a.name() + ` issues, lists, checks, rotates and revokes the API keys of internal
MCP servers. It works on a key store on this machine, or through a server.`,
		Example: `  keyctl init && keyctl issue ci --tool 'get_*' --expires 90d
  keyctl demo --once`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.printVersion()
			}
			return cmd.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if a.allowGroup {
			_ = os.Setenv(filemode.Variable, "1") // package filemode reads it; a name without = cannot fail
		}
		if v := os.Getenv(filemode.Variable); v != "" && v != "1" && v != "0" {
			return usagef("%s must be 1, or 0 or unset for your files alone", filemode.Variable)
		}
		return errors.Join(checkGiven(cmd), a.checkFormat(cmd))
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if rest := cmd.Flags().Args(); cmd.HasSubCommands() && len(rest) > 0 { // `keyctl whoami --help`
			a.unhelpful = cmd.Args(cmd, rest)
			return
		}
		a.help(cmd)
	})

	root.Flags().BoolVar(&version, "version", false, "print the version")
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "the key store's `FILE` (KEYCTL_DB; default mcpkeys.db)")
	flags.StringVar(&a.pepper, "pepper", "", "the pepper `FILE` (KEYCTL_PEPPER_FILE; default DB.pepper)")
	flags.StringVar(&a.server, "server", "", "the `URL` of a keyctl serve, or unix:SOCKET, instead of a file (KEYCTL_SERVER)")
	flags.StringVar(&a.serverUser, "server-user", "", "the `USER` that runs the keyctl serve of unix:SOCKET (KEYCTL_SERVER_USER)")
	flags.BoolVar(&a.insecureHTTP, "insecure-http", false, "allow plain HTTP to other machines: the network can then read keys")
	flags.BoolVar(&a.allowGroup, "allow-group", false, "allow one of your groups to open the files (MCPKEYS_ALLOW_GROUP=1)")
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
		newAudit(a), newVerifiers(a),
		newTUI(a),

		newInit(a),
		newServe(a),
		newGuard(a),
		newImport(a),
		newExport(a),
		newBackup(a),
		newRestore(a),
		newPepper(a),
		newDoctor(a),

		newDemo(a), newSnippet(a), newCompletion(a), newVersion(a),
		newExitCodes(), newEnvironment(),
	)
	root.SetHelpCommand(newHelp())
	a.completeFlags(root)
	return root
}

// familiar maps the words of other programs to our commands.
var familiar = map[string]string{
	"create": "issue", "new": "issue", "add": "issue", "generate": "issue",
	"get": "show", "describe": "show", "info": "show", "inspect": "show",
	"update": "edit", "set": "edit", "modify": "edit", "rename": "edit", "renew": "rotate", "regenerate": "rotate", "roll": "rotate",
	"delete": "revoke", "rm": "revoke", "remove": "revoke", "invalidate": "revoke", "unblock": "enable", "block": "disable", "suspend": "disable",
	"log": "audit", "logs": "audit", "history": "audit", "stats": "usage", "status": "doctor", "keys": "list", "list-keys": "list", "check": "verify", "validate": "verify", "server": "serve", "dashboard": "tui", "ui": "tui",
}

// unknownCommand is the error of a command that has subcommands, for a word that is not
// one of them.
func unknownCommand(parent *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range parent.Commands() {
		names = append(names, append(c.Aliases, c.Name())...)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(parent.CommandPath(), parent.Root().Name()), " ")
	list := "`keyctl help`"
	if path != "" {
		path += " "
		list = "`keyctl help " + strings.TrimSpace(path) + "`"
	}
	if !plainWord(args[0]) {
		return usagef("unknown command; %s lists them all", list)
	}
	if path == "" && slices.Contains([]string{"unrevoke", "unrevoked", "undelete"}, args[0]) {
		return usagef("a revoked key stays revoked; issue a new one with `keyctl issue`")
	}
	guess := familiar[args[0]]
	if guess == "" || path != "" {
		guess = nearest(args[0], names)
	}
	if guess == "" {
		return usagef("unknown command %q; %s lists them all", path+args[0], list)
	}
	return usagef("unknown command %q; did you mean %q?", path+args[0], path+guess)
}

// flagError says what is wrong with a flag, without repeating its value.
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
	if unknown != nil && len(unknown.GetSpecifiedShortnames()) == 1 { // more letters may be a piece of a secret
		return unknownLetter(cmd, unknown.GetSpecifiedShortnames())
	}
	return usagef("unknown flag; `%s --help` lists them all", cmd.CommandPath())
}

// valueWords says what a type of flag takes.
var valueWords = map[string]string{
	"int": "whole number", "int64": "whole number", "bool": "value of true or false",
	"list": "value, or several separated by commas; none may be empty",
}

func unknownFlag(cmd *cobra.Command, name string) error {
	if !cmd.HasParent() {
		if rest := cmd.Flags().Args(); len(rest) > 0 { // the word before the flag is not a command
			return cmd.Args(cmd, rest)
		}
	}
	if guess := familiarFlag(cmd, name); guess != "" {
		return usagef(`unknown flag "--%s"; did you mean --%s?`, name, guess)
	}
	if slices.Contains([]string{"json", "jsonl", "csv"}, name) {
		return usagef(`unknown flag "--%s"; use -o %s`, name, name)
	}
	if _, argument, takes := strings.Cut(cmd.Use, " "); takes && slices.Contains([]string{"name", "key", "id"}, name) {
		argument, _, _ = strings.Cut(argument, "...") // one of several is enough
		return usagef(`unknown flag "--%s"; write the value without a flag: %s %s`, name, cmd.CommandPath(), argument)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if guess := nearest(strings.ToLower(name), names); guess != "" && plainWord(name) {
		return usagef(`unknown flag "--%s"; did you mean --%s?`, name, guess)
	}
	if plainWord(name) {
		return usagef("unknown flag \"--%s\"; `%s --help` lists them all", name, cmd.CommandPath())
	}
	return usagef("unknown flag; `%s --help` lists them all", cmd.CommandPath())
}

// unknownLetter is the error for one unknown letter after a dash.
func unknownLetter(cmd *cobra.Command, letter string) error {
	if guess := familiarFlag(cmd, letter); guess != "" {
		return usagef(`unknown flag "-%s"; did you mean --%s?`, letter, guess)
	}
	if !plainWord(letter) {
		return usagef("unknown flag; `%s --help` lists them all", cmd.CommandPath())
	}
	return usagef("unknown flag \"-%s\"; `%s --help` lists them all", letter, cmd.CommandPath())
}

// familiarFlags maps the flags of other programs to our flags.
var familiarFlags = map[string]string{
	"ttl": "expires", "expires-in": "expires", "expires-at": "expires", "expiration": "expires", "lifetime": "expires", "valid-for": "expires",
	"role": "scope", "roles": "scope", "permission": "scope", "permissions": "scope",
	"user": "owner", "team": "owner", "aud": "audience", "ip": "allow-ip", "ips": "allow-ip", "rate-limit": "rate", "limit": "rate",
	"description": "meta", "desc": "meta", "comment": "meta", "label": "meta", "note": "meta",
	"force": "yes", "f": "yes", "y": "yes", "a": "all", "format": "output",
	"port": "listen", "addr": "listen", "host": "listen", "bind": "listen",
}

// familiarFlag is the flag of cmd for the flag of another program, or "".
func familiarFlag(cmd *cobra.Command, typed string) string {
	guess := familiarFlags[typed]
	if cmd.Flags().Lookup(guess) == nil {
		return ""
	}
	return guess
}

// checkGiven refuses a FILE or URL flag with an empty value: an unset variable of a script
// must not select the default key store, nor print a secret that should go to a file.
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
	if len(args) > 0 && cmd.HasSubCommands() {
		return unknownCommand(cmd, args)
	}
	if len(args) > 0 {
		return usagef("%s takes no arguments; `%s --help` shows how to use it", cmd.Name(), cmd.CommandPath())
	}
	return nil
}

// oneArg is for commands that take one argument, which what describes.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return usagef("%s needs %s; `%s --help` shows how to use it", cmd.Name(), what, cmd.CommandPath())
		}
		return usagef("%s takes only %s; put quotes around a value with spaces", cmd.Name(), what)
	}
}

// nearest returns the word that is most like typed, or "" if none is close.
func nearest(typed string, words []string) string {
	best, bestDistance := "", 3
	for _, w := range words {
		d := distance(typed, w)
		if len(typed) >= 3 && strings.HasPrefix(w, typed) {
			d = min(d, 1)
		}
		if d < bestDistance && d < len(w) {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance: how many letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
