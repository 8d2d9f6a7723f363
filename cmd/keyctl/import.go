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
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
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
		Short:   "Import keys from another system; their secrets stay valid",
		GroupID: groupStore,
		Long: `Import keys from another system. Clients continue to use their secrets.

FILE has one key on each line, in JSON or CSV, with name and owner, scopes,
audience, allowed_ips, rate_limit, metadata and expires_at, and with one of:

  key   the secret itself
  hash  its hash: sha256:… or sha512:… of the whole secret, sha256-after-bar:…
        of the part after the first |, bcrypt or argon2id of the part after the
        first dot; the part before the | or dot is the key's id in that system
        and goes into id

All rows are imported, or none; each wrong row is listed with its line. A row
whose key is already there with the same values changes nothing, so you can
import a file again. A secret that another key has is refused, also if that key
is revoked. A file of export --with-digests needs the same pepper.

docs/import.md has examples for Spring, better-auth, unkey and Laravel.`,
		Example: `  keyctl import keys.jsonl --dry-run
  keyctl import keys.csv --owner data-team --expires 180d`,
		Args: oneArg("a FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.format, "format", "", "the file's `FORMAT`: jsonl or csv (default csv for *.csv, else jsonl)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only print what would be imported")
	flags.BoolVar(&f.partial, "partial", false, "import the valid rows even if others are refused; then exit 5")
	flags.StringVar(&f.owner, "owner", "", "the `OWNER` for rows without one")
	flags.StringVar(&f.expires, "expires", "", "the expiry for rows without one, a `TIME`: 90d, 2027-01-31, never (default 90d)")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) importFile(ctx context.Context, path string, f *importFlags) (err error) {
	s, err := a.localSettings()
	if s.Server != "" {
		return usagef("import works only on the key store's own machine, because a file of secrets should not be sent; run it there, with --db")
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
	// An import makes other imports wait, so it begins only when there is input.
	if _, err := in.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	return withAdminOf(ctx, s, func(m *connect.Admin) error {
		report, err := m.Import(ctx, keyfile.Read(in, format), o)
		done()
		return a.reportImport(report, f, err)
	})
}

// counter shows on a terminal how many are done, of an unknown number.
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
		return nil, usagef("%s cannot be read (%v); nothing was imported", mention(path, 1), bare(err))
	}
	return f, nil
}

// importJSON is the result of import for scripts.
type importJSON struct {
	Rows     int  `json:"rows"`
	Imported int  `json:"imported"`
	Already  int  `json:"already"`
	Slow     int  `json:"slow"`
	Refused  int  `json:"refused"`
	DryRun   bool `json:"dry_run"`
}

// importError is a file of which some or all rows were not imported.
type importError struct {
	error
	refused []failure
	rest    int // how many refused rows are not in refused
	partial bool
}

func (e *importError) Unwrap() error { return e.error }

func isPartialImport(err error) bool {
	var e *importError
	return errors.As(err, &e) && e.partial
}

// reportRefused lists the refused rows, and counts the rest.
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
		return fmt.Errorf("%s: %w", f.outcome(r), err)
	}
	if isA[*store.MayBeLostError](err) {
		return fmt.Errorf("%d of %d keys may have been imported: %w", r.Imported, r.Rows, err)
	}
	if err != nil && !errors.Is(err, importing.ErrRefused) {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	if r.Rows == 0 {
		return usagef("FILE has no rows, so nothing was imported; did the program that writes it fail?")
	}
	if r.Refused > 0 {
		e := &importError{partial: f.partial, rest: r.Refused - len(r.Reasons)}
		e.error = fmt.Errorf("nothing was imported; invalid rows: %d of %d; fix them, or use --partial to import the rest", r.Refused, r.Rows)
		if f.partial {
			e.error = fmt.Errorf("refused rows: %d of %d; %s: %d", r.Refused, r.Rows, strings.TrimPrefix(f.done(), "were "), r.Imported)
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

// outcome says how many keys were imported.
func (f *importFlags) outcome(r importing.Report) string {
	done := f.done()
	if r.Rows == 1 {
		done = strings.Replace(done, "were", "was", 1)
	}
	return fmt.Sprintf("%d of %s %s", r.Imported, wording.Counted(r.Rows, "key", "keys"), done)
}

func (a *app) printImport(r importing.Report, f *importFlags) error {
	if err := a.print(f.outcome(r) + "\n"); err != nil {
		return err
	}
	if r.Already > 0 {
		a.say("already imported: %d", r.Already)
	}
	if r.Slow > 0 {
		a.say("%s with a slow hash: the first use of each takes up to half a second, and each use if the secret is short; %s",
			wording.Counted(r.Slow, "key", "keys"), a.hinted("`keyctl rotate` gives a key a new secret"))
	}
	if f.dryRun {
		a.say("dry run: nothing was changed")
	} else if r.Imported > 0 {
		a.say("delete the file when you no longer need it: it holds secrets or hashes")
	}
	return nil
}
