package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys"
)

// app is what the commands share: the environment, and the flags that all of them take.
type app struct {
	*env
	db           string
	pepper       string
	server       string
	serverUser   string
	insecureHTTP bool
	allowGroup   bool
	output       format
	unhelpful    error          // why help could not be shown
	ran          *cobra.Command // the command whose error is reported; nil before one was found
}

// settings returns which store to use: flags first, then the environment.
func (a *app) settings() (connect.Settings, error) {
	s, err := a.named()
	if err != nil {
		return s, err
	}
	return s, s.Validate()
}

// localSettings are the settings of a command that works on this machine's file only. A
// --db on the command line wins over a KEYCTL_SERVER in the environment. A server is
// refused before its admin key is looked for.
func (a *app) localSettings() (connect.Settings, error) {
	s, err := a.named()
	if err != nil {
		return s, err
	}
	if a.db != "" && a.server == "" {
		s.Server = ""
	}
	return s, s.Local()
}

func (a *app) named() (connect.Settings, error) {
	s := connect.Settings{
		DB: a.db, PepperFile: a.pepper, Server: a.server, ServerUser: a.serverUser, InsecureHTTP: a.insecureHTTP,
	}.WithEnv(a.getenv)
	if err := refuseTokens([]string{s.DB, s.PepperFile, s.Server, s.ServerUser, s.AdminKeyFile}); err != nil {
		return s, usagef("a KEYCTL_ variable holds a key where a path or a URL belongs; if it is a real key, revoke it")
	}
	return s, nil
}

// withAdmin opens the key store for changes, runs do, and closes it.
func (a *app) withAdmin(ctx context.Context, do func(*connect.Admin) error) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	return withAdminOf(ctx, s, do)
}

func withAdminOf(ctx context.Context, s connect.Settings, do func(*connect.Admin) error) (err error) {
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	return do(admin)
}

// say prints a line to standard error. An error of that write is ignored.
func (a *app) say(text string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, text+"\n", args...)
}

// about renders a command line that names k, also where its name looks like a flag.
func (a *app) about(verb string, k *keys.Key) string {
	if strings.HasPrefix(k.Label(), "-") {
		return a.command(verb, "--", k.Label())
	}
	return a.command(verb, k.Label())
}

// command renders a command line for the user to type, on the same store.
func (a *app) command(words ...string) string {
	line := a.name()
	if a.db != "" {
		line += " --db " + shell.Quote(a.db)
	}
	if a.server != "" {
		line += " --server " + shell.Quote(a.server)
	}
	if a.serverUser != "" {
		line += " --server-user " + shell.Quote(a.serverUser)
	}
	if a.insecureHTTP {
		line += " --insecure-http"
	}
	if a.allowGroup {
		line += " --allow-group"
	}
	if a.pepper != "" {
		line += " --pepper " + shell.Quote(a.pepper)
	}
	for _, w := range words {
		line += " " + shell.Quote(w)
	}
	return line
}

// The names of the program; the second is for machines where the kernel's
// keyutils has the first.
const (
	nameFirst  = "keyctl"
	nameSecond = "mcpkeys"
)

// name is the name that the program was called by, if it is one of the two.
func (e *env) name() string {
	if strings.TrimSuffix(filepath.Base(e.called), ".exe") == nameSecond {
		return nameSecond
	}
	return nameFirst
}

// elsewhere are the commands whose hints get no --db: they use no key store, or another one.
var elsewhere = []string{"help", "completion", "version", "demo", "serve"}

// verbs are the names of all commands.
func verbs() []string {
	names := []string{"help"}
	for _, c := range newRoot(&app{env: &env{}}).Commands() {
		names = append(names, append(c.Aliases, c.Name())...)
	}
	return names
}

// renamed puts the name that the program was called by into the commands that text says to
// type: before a command, a flag, a placeholder or the end of the code. It leaves paths and
// other words that contain the name as they are.
func (e *env) renamed(text string) string {
	if e.name() == nameFirst {
		return text
	}
	typed := regexp.MustCompile("(^|[\\s`'(])keyctl( (?:" + strings.Join(verbs(), "|") + ")\\b| --?[a-z]| [A-Z]|'s|`|\\n)")
	return typed.ReplaceAllString(text, "${1}"+e.name()+"${2}")
}

// hinted does the same for an error or a finding, and adds the flags that name the key
// store, so that the command works on the same one.
func (a *app) hinted(text string) string {
	here := slices.DeleteFunc(verbs(), func(verb string) bool { return slices.Contains(elsewhere, verb) })
	typed := regexp.MustCompile("(^|[\\s`'(])keyctl (" + strings.Join(here, "|") + ")\\b")
	text = typed.ReplaceAllStringFunc(text, func(hint string) string {
		return strings.Replace(hint, nameFirst, a.command(), 1)
	})
	return a.renamed(text)
}
