package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/checkpoint"
	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type auditCheckpointFlags struct{ keyFile, outFile string }

func newAuditCheckpoint(a *app) *cobra.Command {
	f := &auditCheckpointFlags{}
	cmd := &cobra.Command{
		Use:     "checkpoint",
		Short:   "Sign how far the audit log has come, to keep elsewhere",
		GroupID: groupAudit,
		Long: `Print a signed note of how far the audit log of this machine's key store has come:
the number and the hash of its newest row. Keep it where nobody can write who can
write the database: a chain of hashes cannot show that its end was cut off, and
audit verify --checkpoint NOTE can.

The first time a signing key is made, DB.checkpoint-key, 0600, and a line is shown
with which notes are verified. That line is not secret; keep it with the notes, so
that nobody who gets at this machine can sign others in their place.

It does not check the log: audit verify does, best against the note before.`,
		Example: `  keyctl audit checkpoint | ssh backup.example 'cat >audit-$(date +%F).note'
  keyctl audit verify --checkpoint last.note && keyctl audit checkpoint >new.note`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			return a.auditCheckpoint(cmd.Context(), s, f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.keyFile, "key-file", "", "sign with the key in this `FILE`, which is made if it is not there (default DB.checkpoint-key)")
	flags.StringVar(&f.outFile, "out-file", "", "write the note to this new `FILE` instead of printing it")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// signedJSON is a checkpoint with its note, which is what counts.
type signedJSON struct {
	checkpointJSON
	VerifierKey string `json:"verifier_key"`
	Note        string `json:"note"`
}

func (a *app) auditCheckpoint(ctx context.Context, s connect.Settings, f *auditCheckpointFlags) (err error) {
	r, err := s.Reader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	path := checkpointKey(s, f.keyFile)
	signer, made, err := checkpoint.LoadSigner(path)
	if err != nil {
		return err
	}
	if made {
		a.say("made the signing key %s; keep this line elsewhere, to verify with:\n\n  %s\n", wording.Clean(path), signer.VerifierKey)
	}
	c, err := keys.NewCheckpoint(ctx, r, a.now())
	if err != nil {
		return err
	}
	note, err := signer.Sign(c)
	if err != nil {
		return err
	}
	file, err := newSecretFile(f.outFile, "signed")
	if err != nil {
		return err
	}
	if file != nil {
		_, err := file.file.WriteString(note)
		return errors.Join(err, file.file.Sync(), file.file.Close())
	}
	if a.output == formatJSON {
		return a.printJSON(signedJSON{*newCheckpointJSON(&c), signer.VerifierKey, note})
	}
	return a.print(note)
}
