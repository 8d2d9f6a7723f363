package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/keyfile"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

type importFlags struct {
	format, owner, expires string
	partial, dryRun        bool
}

func newImport(a *app) *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:     "import FILE|-",
		Short:   "Take over keys from another system, with their tokens",
		GroupID: groupStore,
		Long: `Take over keys from another system. Whoever holds one of their tokens goes on
using it as it is.

FILE has a key a line, in JSON or in CSV: name and owner, scopes, audience,
allowed_ips, rate_limit, metadata, expires_at, and of its token either the
token itself (key) or the hash that was kept (hash): sha256:… or sha512:… of
all of it, sha256-after-bar:… of what follows its first |, or bcrypt or argon2id
of what follows its first dot. What stands before the | or the dot is then the
key's id over there, and must be in id.

All of the rows are imported or none: what is wrong is told with its line. A row
whose key is there already, exactly like it, changes nothing, so the same file may
be imported again. Any other token that a key has already is refused, also if that
key was revoked. What export --with-digests wrote is taken beside the same pepper.

docs/import.md shows it for keys of Spring, better-auth, unkey and Laravel.`,
		Example: `  keyctl import keys.jsonl --dry-run
  keyctl import keys.csv --owner data-team --expires 180d`,
		Args: oneArg("a FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.format, "format", "", "read it as `FORMAT`: jsonl or csv (default by the name of FILE, else jsonl)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be imported, and change nothing")
	flags.BoolVar(&f.partial, "partial", false, "import the good rows though others are refused; exit 5 then")
	flags.StringVar(&f.owner, "owner", "", "the `OWNER` of keys whose row names none")
	flags.StringVar(&f.expires, "expires", "", "when keys end whose row does not say, at this `TIME`: 90d, 2027-01-31, never (default 90d)")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) importFile(ctx context.Context, path string, f *importFlags) (err error) {
	s, err := a.localSettings()
	if s.Server != "" {
		return usagef("import works on the key store's own machine, because a file of tokens should not travel; run it there, with --db")
	}
	if err != nil {
		return err
	}
	format, err := f.formatOf(path)
	if err != nil {
		return err
	}
	show, done := a.counter("rows written:")
	o := importing.Options{Partial: f.partial, DryRun: f.dryRun, Owner: f.owner, Progress: show}
	if o.Expires, err = keys.ParseExpiry(f.expires); err != nil {
		return err
	}
	file, err := a.openInput(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReader(file)
	// An import keeps others waiting, so it begins when there is something to import.
	if _, err := in.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	return withAdminOf(ctx, s, func(m *connect.Admin) error {
		report, err := m.Import(ctx, keyfile.Read(in, format), o)
		done()
		return a.reportImport(report, f, err)
	})
}

// counter shows on a terminal how far something of unknown length has come.
func (a *app) counter(what string) (show func(n int), done func()) {
	if !isTerminal(a.stderr) {
		return nil, func() {}
	}
	width := 0
	show = func(n int) {
		text := fmt.Sprint(what, " ", n)
		width = len(text)
		_, _ = fmt.Fprint(a.stderr, "\r", text)
	}
	return show, func() {
		if width > 0 {
			_, _ = fmt.Fprint(a.stderr, "\r", strings.Repeat(" ", width), "\r")
		}
	}
}

func (f *importFlags) formatOf(path string) (keyfile.Format, error) {
	switch format := keyfile.Format(f.format); {
	case format == keyfile.JSONL, format == keyfile.CSV:
		return format, nil
	case f.format != "":
		return "", usagef("--format takes jsonl or csv")
	case strings.HasSuffix(strings.ToLower(path), ".csv"):
		return keyfile.CSV, nil
	}
	return keyfile.JSONL, nil
}

func (a *app) openInput(ctx context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(infile.Under(ctx, a.stdin)), nil
	}
	f, err := infile.Open(ctx, path)
	if err != nil {
		return nil, usagef("FILE cannot be read (%v); nothing was imported", bare(err))
	}
	return f, nil
}

// importJSON is what import tells scripts.
type importJSON struct {
	Rows     int  `json:"rows"`
	Imported int  `json:"imported"`
	Already  int  `json:"already"`
	Slow     int  `json:"slow"`
	Refused  int  `json:"refused"`
	DryRun   bool `json:"dry_run"`
}

// importError is a file of which some rows, or all, were not imported.
type importError struct {
	error
	refused []failure
	rest    int // refused ones that are not told
	partial bool
}

func (e *importError) Unwrap() error { return e.error }

func isPartialImport(err error) bool {
	var e *importError
	return errors.As(err, &e) && e.partial
}

// reportRefused lists the rows that were refused, as many as are told.
func (a *app) reportRefused(err error) {
	var e *importError
	if !errors.As(err, &e) {
		return
	}
	for _, f := range e.refused {
		a.say("  %s: %s", f.Key, f.Message)
	}
	if e.rest > 0 {
		a.say("  and %d more", e.rest)
	}
}

func (a *app) reportImport(r importing.Report, f *importFlags, err error) error {
	if isA[*store.WrittenError](err) {
		return fmt.Errorf("%d of %d keys were imported: %w", r.Imported, r.Rows, err)
	}
	if isA[*store.MayBeLostError](err) {
		return fmt.Errorf("%d of %d keys may have been imported: %w", r.Imported, r.Rows, err)
	}
	if err != nil && !errors.Is(err, importing.ErrRefused) {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	if r.Rows == 0 {
		return usagef("there is no row in it, so nothing was imported; did what made it fail?")
	}
	if r.Refused > 0 {
		e := &importError{partial: f.partial, rest: r.Refused - len(r.Reasons)}
		e.error = fmt.Errorf("%w: %d of %d rows; mend them, or leave them out with --partial", importing.ErrRefused, r.Refused, r.Rows)
		if f.partial {
			e.error = fmt.Errorf("%d of %d rows were refused; %d %s", r.Refused, r.Rows, r.Imported, f.done())
		}
		for _, one := range r.Reasons {
			e.refused = append(e.refused, failure{fmt.Sprintf("line %d", one.Line), outcomeOf(one.Reason).code, sentence(one.Reason)})
		}
		if !f.partial || a.output == formatJSON {
			return e
		}
		return errors.Join(e, a.printImport(r, f))
	}
	if a.output == formatJSON {
		return a.printJSON(importJSON{r.Rows, r.Imported, r.Already, r.Slow, r.Refused, f.dryRun})
	}
	return a.printImport(r, f)
}

func (f *importFlags) done() string {
	if f.dryRun {
		return "would be imported"
	}
	return "were imported"
}

func (a *app) printImport(r importing.Report, f *importFlags) error {
	if err := a.print(fmt.Sprintf("%d of %d keys %s\n", r.Imported, r.Rows, f.done())); err != nil {
		return err
	}
	if r.Already > 0 {
		were := "were"
		if r.Already == 1 {
			were = "was"
		}
		a.say("%d of them %s there already, exactly like this", r.Already, were)
	}
	if r.Slow > 0 {
		a.say("%d under a slow hash: the first use of each takes up to half a second, and a token that could be guessed stays under it; %s", r.Slow, a.hinted("`keyctl rotate` gives a key a new secret"))
	}
	if f.dryRun {
		a.say("dry run: nothing was changed")
	} else if r.Imported > 0 {
		a.say("a file of tokens or hashes is best deleted when it is no longer needed")
	}
	return nil
}
