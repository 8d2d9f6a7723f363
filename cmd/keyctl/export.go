package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/keyfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

type exportFlags struct {
	digests, all bool
	outFile      string
}

func newExport(a *app) *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write all keys to a file: what they may do, not what proves them",
		GroupID: groupStore,
		Long: `Write all keys, newest first, as import reads them: who they are for, what they
may do, how long. No file that is written here opens anything: tokens are not
kept, and with --with-digests the slow hashes of imported keys are all that
another system could use.

A key of mcpkeys itself verifies under its pepper alone: with --with-digests it
can be imported by a key store that has the same pepper, under the same id, with
its newest secret. Admin keys, and what is disabled or expired, stay behind, and
import says so. To move a key store, restore a backup of it.`,
		Example: `  keyctl export > keys.jsonl
  keyctl export -o csv --out-file keys.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.export(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.all, "all", false, "revoked keys too")
	flags.BoolVar(&f.digests, "with-digests", false, "what verifies the keys too; guesses can be tried against it")
	flags.StringVar(&f.outFile, "out-file", "", "write to this new `FILE`, which only you may read, instead of printing")
	formats(cmd, formatJSON, formatJSONL, formatCSV)
	return cmd
}

func (a *app) export(ctx context.Context, f *exportFlags) (err error) {
	s, err := a.settings()
	if err != nil {
		return err
	}
	if s.Server != "" && f.digests {
		return usagef("--with-digests works on the key store's own machine: a server tells nobody what verifies its keys")
	}
	return a.withAdmin(ctx, func(m *connect.Admin) error {
		found, err := pages(ctx, m, keys.Query{Unrevoked: !f.all, Limit: keys.MaxLimit}, 0)
		if err != nil {
			return err
		}
		file, err := newSecretFile(f.outFile, "exported")
		if err != nil {
			return err
		}
		if file == nil {
			return a.writeKeys(a.stdout, found, f)
		}
		if err := a.writeKeys(file.file, found, f); err != nil {
			return errors.Join(err, file.remove())
		}
		if err := errors.Join(file.file.Sync(), file.file.Close()); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		a.say("%d keys written to %s", len(found.Keys), f.outFile)
		a.sayTampered(found.Tampered)
		return nil
	})
}

// writeKeys leaves what verifies a key out where its row cannot be believed.
func (a *app) writeKeys(w io.Writer, found keys.Page, f *exportFlags) error {
	rows := make([]keyfile.Row, 0, len(found.Keys))
	for _, k := range found.Keys {
		row := keyfile.NewRow(k, a.now())
		switch {
		case slices.Contains(found.Tampered, k.ID):
			row.Status = changed
		case f.digests:
			row.AddHash(k)
		}
		rows = append(rows, row)
	}
	format := keyfile.JSONL
	switch a.output {
	case formatCSV:
		format = keyfile.CSV
	case formatJSON:
		format = keyfile.JSON
	}
	if err := keyfile.Write(w, format, rows); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}
