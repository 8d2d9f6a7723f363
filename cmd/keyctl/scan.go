package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/scan"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

type scanFlags struct {
	git, revoke, yes bool
	reason           string
	reasonGiven      bool
}

func newScan(a *app) *cobra.Command {
	f := &scanFlags{}
	cmd := &cobra.Command{
		Use:     "scan [PATH|-]",
		Short:   "Find leaked keys in files, git history or standard input",
		GroupID: groupKeys,
		Long: `Find leaked keys: in a file, in all files below a folder (default: .), in
standard input, or with --git in the whole history of a repository. It finds
keys by their shape and their check digits, so it works offline and ignores
examples, which have wrong check digits. It does not look into compressed files.

Each place is printed with the key's id and its STATUS, never with the secret.
unchecked means that there is no key store, unknown that this key store never
issued the key, superseded that a rotation ended the secret. With --server, this
check counts as a use of the key.

It exits 5 if it finds a key, so that a hook or a job fails.`,
		Example: `  git diff --cached | keyctl scan -
  keyctl scan --git ~/src/weather --revoke --reason 'was pushed'
  keyctl scan /var/log -o jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("scan takes one PATH, or - for standard input")
			}
			f.reasonGiven = cmd.Flags().Changed("reason")
			return f.check(a, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := keys.ValidateText("reason", f.reason); err != nil {
				return err
			}
			return a.scan(cmd.Context(), append(args, ".")[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.git, "git", false, "scan the history of the git repository at PATH instead")
	flags.BoolVar(&f.revoke, "revoke", false, "revoke the found keys that this key store issued")
	flags.StringVar(&f.reason, "reason", "leaked: found by keyctl scan", "write `TEXT` into the audit log as the reason")
	flags.BoolVar(&f.yes, "yes", false, "do not ask before revoking")
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV, formatName)
	return cmd
}

func (f *scanFlags) check(a *app, args []string) error {
	switch {
	case f.git && len(args) == 1 && args[0] == "-":
		return usagef("--git takes the PATH of a repository, not standard input")
	case f.yes && !f.revoke:
		return usagef("--yes works only with --revoke")
	case f.reasonGiven && !f.revoke:
		return usagef("--reason works only with --revoke")
	case f.revoke && !f.yes && !a.canAsk():
		return usagef("--revoke asks first, but standard input is not a terminal; use --yes")
	}
	return nil
}

// suspect is one token, the places where it was found, and what the key store says of it.
type suspect struct {
	token  keys.Token
	places []scan.Finding
	code   keys.Code // empty if no key store was asked
	key    *keys.Key // nil unless the token is one of its secrets
	cause  error     // why there is no answer
}

// add ignores a place that is equal to the last one: a token may be twice on a line.
func (s *suspect) add(place scan.Finding) {
	if n := len(s.places); n > 0 {
		if last := &s.places[n-1]; last.File == place.File && last.Line == place.Line && last.Commit == place.Commit {
			return
		}
	}
	s.places = append(s.places, place)
}

func (a *app) scan(ctx context.Context, path string, f *scanFlags) error {
	suspects, unread, err := a.find(ctx, path, f)
	if err != nil {
		return err
	}
	if err := a.identify(ctx, suspects, f); err != nil {
		return err
	}
	if err := a.deal(ctx, suspects, f); err != nil {
		return err
	}
	switch {
	case len(suspects) > 0:
		return &foundError{}
	case unread > 0:
		return fmt.Errorf("not read: %s; no key found in the rest", wording.Counted(unread, "file or folder", "files or folders"))
	}
	a.say("no key found")
	return nil
}

// find scans path, and prints at once what it could not read.
func (a *app) find(ctx context.Context, path string, f *scanFlags) (found []*suspect, unread int, err error) {
	byToken := map[string]*suspect{}
	report := func(one scan.Finding) {
		text := one.Token.Secret().Reveal()
		if byToken[text] == nil {
			byToken[text] = &suspect{token: one.Token}
			found = append(found, byToken[text])
		}
		byToken[text].add(one)
	}
	switch {
	case path == "-":
		_, err = interruptible(ctx, func() (struct{}, error) {
			return struct{}{}, scan.Stream(a.stdin, func(line int, t keys.Token) { report(scan.Finding{Line: line, Token: t}) })
		})
	case f.git:
		err = scan.History(ctx, path, report)
	default:
		err = scan.Tree(ctx, path, report, func(e *scan.UnreadError) {
			unread++
			a.say("not read: %s", sentence(e))
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, usagef("%s not found: no such file or folder", mention(path, 1))
	}
	if errors.Is(err, infile.ErrKind) {
		return nil, 0, usagef("%s %v; name a file or a folder, or - for standard input", mention(path, 1), infile.ErrKind)
	}
	return found, unread, err
}

// identify checks every suspect with the key store. A known id is not enough to revoke a key:
// ids are public, and anyone can compute check digits. Only the verifier can say whether the
// secret is the key's.
func (a *app) identify(ctx context.Context, suspects []*suspect, f *scanFlags) (err error) {
	s, err := a.settings()
	if err != nil || len(suspects) == 0 {
		return err
	}
	if !f.revoke && !a.storeMeant(s) {
		a.say("no key store found, so the keys were not checked; name one with --db or --server")
		return nil
	}
	checker, err := s.Checker(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, checker.Close()) }()
	return a.withAdmin(ctx, func(m *connect.Admin) error {
		for _, one := range suspects {
			one.identify(ctx, checker, m)
		}
		return nil
	})
}

// storeMeant reports whether a key store was named, or the default one exists.
func (a *app) storeMeant(s connect.Settings) bool {
	if s.Server != "" || a.db != "" || a.getenv("KEYCTL_DB") != "" {
		return true
	}
	_, err := os.Stat(s.DB)
	return err == nil
}

func (s *suspect) identify(ctx context.Context, checker *connect.Checker, m admin.Manager) {
	d := checker.Check(ctx, s.token.Secret().Reveal(), verifier.Call{})
	s.code, s.cause = d.Code, d.Cause
	switch d.Code {
	case keys.CodeNotFound, keys.CodeUnavailable:
		return
	}
	s.key, s.cause = m.Key(ctx, s.token.ID())
}

// live reports whether the key can still be revoked.
func (s *suspect) live() bool {
	return s.key != nil && s.code != keys.CodeRevoked && s.code != keys.CodeExpired && s.code != keys.CodeSuperseded
}

// foundError ends a scan that found keys. They are on standard output; there is nothing more
// to report.
type foundError struct{}

func (*foundError) Error() string { return "keys were found" }

// deal prints the found keys and, with --revoke, revokes them. A table is printed before the
// question, other formats after the revocation, with its result.
func (a *app) deal(ctx context.Context, suspects []*suspect, f *scanFlags) error {
	if !f.revoke {
		return a.printSuspects(suspects)
	}
	targets := targetsOf(suspects)
	if a.output == formatTable {
		if err := a.printSuspects(suspects); err != nil {
			return err
		}
	}
	err := a.revokeFound(ctx, targets, f)
	if a.output == formatTable {
		return err
	}
	for _, t := range targets {
		for _, s := range suspects {
			if t.err == nil && s.key != nil && s.key.ID == t.key.ID {
				s.key = t.key
			}
		}
	}
	if printed := a.printSuspects(suspects); err == nil {
		err = printed
	}
	return err
}

// targetsOf returns each key that can be revoked once, also if both of its secrets were found.
func targetsOf(suspects []*suspect) []*target {
	var targets []*target
	seen := map[string]bool{}
	for _, s := range suspects {
		if s.live() && !seen[s.key.ID] {
			seen[s.key.ID] = true
			targets = append(targets, &target{key: s.key})
		}
	}
	return targets
}

func (a *app) revokeFound(ctx context.Context, targets []*target, f *scanFlags) error {
	if len(targets) == 0 {
		return nil
	}
	if !f.yes {
		if err := a.confirm(ctx, targets); err != nil {
			return err
		}
	}
	e := &effect{}
	err := a.withAdmin(ctx, func(m *connect.Admin) error {
		e.revokeAll(ctx, m, targets, f.reason)
		return nil
	})
	if err != nil {
		return err
	}
	if a.output != formatTable {
		return failuresOf(targets)
	}
	return a.reportRevoked(targets, e)
}

// failuresOf returns the keys that could not be revoked as an error.
func failuresOf(targets []*target) error {
	var failed []failure
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{t.mention(), outcomeOf(t.err).code, sentence(t.err)})
		}
	}
	if len(failed) > 0 {
		return &partialError{"could not be revoked", failed}
	}
	return nil
}

// foundJSON is one place that holds a key.
type foundJSON struct {
	ID     string    `json:"id"`
	Kind   keys.Kind `json:"kind"`
	Name   string    `json:"name"` // empty if the key store does not know the key; so is Owner
	Owner  string    `json:"owner"`
	Status string    `json:"status"`
	File   string    `json:"file"`   // empty for standard input
	Line   int       `json:"line"`   // 0 if the key is in the file's name
	Commit string    `json:"commit"` // empty without --git
}

func (a *app) foundJSON(s *suspect, place scan.Finding) foundJSON {
	out := foundJSON{ID: s.token.ID(), Kind: s.token.Kind(), Status: a.statusOf(s), File: place.File, Line: place.Line, Commit: place.Commit}
	if s.key != nil {
		out.Name, out.Owner = s.key.Name, s.key.Owner
	}
	return out
}

// statusOf is the status of the key, or why it is not known.
func (a *app) statusOf(s *suspect) string {
	switch {
	case s.code == "":
		return "unchecked"
	case s.code == keys.CodeNotFound:
		return "unknown"
	case s.key == nil || s.cause != nil:
		return string(keys.CodeUnavailable)
	case s.code == keys.CodeSuperseded:
		return string(s.code)
	case s.code == keys.CodeExpired: // the key may be valid: after a rotation only the secret expires
		return string(keys.StatusExpired)
	}
	return string(s.key.Status(a.now()))
}

func (a *app) printSuspects(suspects []*suspect) error {
	all := []foundJSON{}
	for _, s := range suspects {
		if s.cause != nil {
			a.say("key %s could not be checked: %s", s.token.ID(), sentence(s.cause))
		}
		for _, place := range s.places {
			all = append(all, a.foundJSON(s, place))
		}
	}
	switch a.output {
	case formatJSON, formatJSONL:
		return printAll(a, all)
	case formatCSV:
		return a.print(foundCSV(all))
	case formatName:
		var b strings.Builder
		for _, s := range suspects {
			b.WriteString(s.token.ID() + "\n")
		}
		return a.print(b.String())
	}
	if len(all) == 0 {
		return nil
	}
	if err := a.print(foundTable(all).text(unlimited)); err != nil {
		return err
	}
	a.say("found %s in %s", wording.Counted(len(suspects), "key", "keys"), wording.Counted(len(all), "place", "places"))
	return nil
}

// foundTable has the place in the last column: it is the longest, and is never cut.
func foundTable(all []foundJSON) *table {
	t := &table{columns: []column{{heading: "ID"}, {heading: "STATUS"}, {heading: "NAME"}, {heading: "PLACE"}}}
	for _, one := range all {
		name := "-"
		if one.Name != "" {
			k := keys.Key{Name: one.Name, Owner: one.Owner}
			name = k.Label()
		}
		t.add(one.ID, one.Status, name, one.place())
	}
	return t
}

// place is FILE:LINE, which editors and terminals can open.
func (f *foundJSON) place() string {
	text := f.File
	switch {
	case f.File == "":
		text = "standard input, line " + strconv.Itoa(f.Line)
	case f.Line == 0:
		text += ", in its name"
	default:
		text += ":" + strconv.Itoa(f.Line)
	}
	if f.Commit != "" {
		text += " in commit " + f.Commit
	}
	return text
}

func foundCSV(all []foundJSON) string {
	rows := [][]string{{"id", "kind", "name", "owner", "status", "file", "line", "commit"}}
	for _, f := range all {
		rows = append(rows, []string{f.ID, string(f.Kind), f.Name, f.Owner, f.Status, f.File, itoa(f.Line), f.Commit})
	}
	return csvText(rows...)
}
