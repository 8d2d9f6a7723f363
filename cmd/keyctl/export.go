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
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
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
		Short:   "Write all keys to a file, without their secrets",
		GroupID: groupStore,
		Long: `Write all keys, newest first, in the form that import reads: owner, scopes,
limits and expiry. The file holds no secrets: they are not stored. With
--with-digests it holds digests; of these, another system can use only the slow
hashes of imported keys.

A digest of a key that mcpkeys issued works only with its pepper. A key store
with the same pepper can import such a key, under the same id and with its
newest secret. import refuses admin keys and disabled or expired keys. To move a
key store, restore a backup of it instead.`,
		Example: `  keyctl export > keys.jsonl
  keyctl export -o csv --out-file keys.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.export(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.all, "all", false, "include revoked keys")
	flags.BoolVar(&f.digests, "with-digests", false, "include the digests of the secrets; guesses can be tried on them")
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
		return usagef("--with-digests works only on the key store's own machine: a server does not send digests")
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
		a.say("%s written to %s", wording.Counted(len(found.Keys), "key", "keys"), wording.Clean(f.outFile))
		a.sayTampered(found.Tampered)
		return nil
	})
}

// writeKeys writes the keys. It leaves out the digest of a key that was changed outside
// mcpkeys.
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
