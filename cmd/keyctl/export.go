package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
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
key store, restore a backup of it instead.

The keys are written while they are read, each once and as it is at that moment;
keys that are issued after the export began are not in it. If reading fails, an
error says after how many keys the output ends, and --out-file is removed.`,
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
	return a.withAdmin(ctx, func(m *connect.Admin) error { return a.exportOf(ctx, m, f) })
}

func (a *app) exportOf(ctx context.Context, m admin.Manager, f *exportFlags) error {
	e := &exporter{app: a, digests: f.digests, path: f.outFile}
	_, err := eachPage(ctx, m, keys.Query{Unrevoked: !f.all}, 0, e.add)
	if err == nil {
		err = e.end()
	}
	if err != nil {
		return e.abort(err)
	}
	return nil
}

// exporter writes each page of keys before the next one is read.
type exporter struct {
	*app
	digests  bool
	path     string      // of --out-file
	file     *secretFile // nil for standard output
	out      *keyfile.Writer
	n        int // keys that were written
	tampered tampered
}

// open creates the file when the first keys were read, so that an export that cannot begin
// leaves none.
func (e *exporter) open() (err error) {
	if e.file, err = newSecretFile(e.path, "exported"); err != nil {
		return err
	}
	w := e.stdout
	if e.file != nil {
		w = e.file.file
	}
	format := keyfile.JSONL
	switch e.output {
	case formatCSV:
		format = keyfile.CSV
	case formatJSON:
		format = keyfile.JSON
	}
	e.out = keyfile.NewWriter(w, format)
	return nil
}

// add writes keys. It leaves out the digest of a key that was changed outside mcpkeys.
func (e *exporter) add(page keys.Page) error {
	if e.out == nil {
		if err := e.open(); err != nil {
			return err
		}
	}
	for _, k := range page.Keys {
		row := keyfile.NewRow(k, e.now())
		switch {
		case slices.Contains(page.Tampered, k.ID):
			row.Status = changed
		case e.digests:
			row.AddHash(k)
		}
		if err := e.out.Write(&row); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
	}
	if err := e.out.Flush(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	e.n += len(page.Keys)
	e.tampered.add(page.Tampered)
	return nil
}

func (e *exporter) end() error {
	err := e.out.Close()
	if err == nil && e.file != nil {
		err = errors.Join(e.file.file.Sync(), e.file.file.Close())
	}
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	if e.file != nil {
		e.say("%s written to %s", wording.Counted(e.n, "key", "keys"), wording.Clean(e.path))
		e.sayTampered(&e.tampered)
	}
	return nil
}

// abort removes an incomplete file, and says where the output of an incomplete export ends.
func (e *exporter) abort(err error) error {
	if e.file != nil {
		return errors.Join(err, e.file.remove())
	}
	return incomplete(err, e.n, "key", "keys")
}
