package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/app/checkpoint"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/infile"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

type auditVerifyFlags struct{ checkpoint, verifierKey, keyFile string }

func newAuditVerify(a *app) *cobra.Command {
	f := &auditVerifyFlags{}
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Check that the audit log is complete and matches every key",
		GroupID: groupAudit,
		Long: `Check the whole audit log of the key store on this machine: that no row was
changed, removed or inserted, and that every key is as its newest row says. If
not, it names the first wrong row or the wrong keys and exits 2.

The log is a chain of hashes. A chain alone cannot show that rows were cut off
at the end, or that all hashes were computed again. An earlier note of audit
checkpoint shows both: name it with --checkpoint.

The note is verified with --verifier-key, the line that audit checkpoint printed
when it made its key. Without that flag it is verified with DB.checkpoint-key:
then anyone who can write that file can forge a note.`,
		Example: `  keyctl audit verify
  keyctl audit verify --checkpoint mon.note --verifier-key "$(cat audit.pub)"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.localSettings()
			if err != nil {
				return err
			}
			if f.checkpoint == "" && (f.verifierKey != "" || f.keyFile != "") {
				return usagef("--verifier-key and --key-file go with --checkpoint")
			}
			return a.auditVerify(cmd.Context(), s, f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.checkpoint, "checkpoint", "", "check that the log continues the note in this `FILE`")
	flags.StringVar(&f.verifierKey, "verifier-key", "", "verify the note with this `LINE`")
	flags.StringVar(&f.keyFile, "key-file", "", "verify the note with the key in this `FILE` (default DB.checkpoint-key)")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) auditVerify(ctx context.Context, s connect.Settings, f *auditVerifyFlags) (err error) {
	r, err := s.Reader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	o := &audit.VerifyOptions{}
	if f.checkpoint != "" {
		if o.Checkpoint, err = f.open(ctx, s); err != nil {
			return err
		}
	}
	show, done := a.rowsRead()
	o.Progress = show
	report, err := store.VerifyAudit(ctx, r, o)
	done()
	if err != nil {
		return err
	}
	if len(report.Faults) > 0 {
		return &auditError{report}
	}
	return a.printAuditReport(report, o.Checkpoint)
}

// open reads the note and verifies its signature.
func (f *auditVerifyFlags) open(ctx context.Context, s connect.Settings) (*audit.Checkpoint, error) {
	note, err := readNote(ctx, f.checkpoint)
	if err != nil {
		return nil, err
	}
	verifierKey := strings.TrimSpace(f.verifierKey)
	if verifierKey == "" {
		path := checkpointKey(s, f.keyFile)
		verifierKey, err = checkpoint.VerifierKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("checkpoint key %s not found, so the note cannot be verified; use --verifier-key or --key-file", wording.Clean(path))
		}
		if err != nil {
			return nil, err
		}
	}
	c, err := checkpoint.Open(note, verifierKey)
	return &c, err
}

// maxNoteFile is longer than any note that we make, in bytes.
const maxNoteFile = 64 << 10

func readNote(ctx context.Context, path string) (string, error) {
	file, err := infile.Open(ctx, path)
	if err != nil {
		return "", usagef("--checkpoint cannot be read (%v); name the file that `keyctl audit checkpoint` wrote", bare(err))
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxNoteFile+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", usagef("--checkpoint cannot be read (%v); name the file that `keyctl audit checkpoint` wrote", bare(err))
	}
	return string(text), nil
}

// checkpointKey is the file of the signing key: named, or the default.
func checkpointKey(s connect.Settings, named string) string {
	if named != "" {
		return named
	}
	return s.DB + ".checkpoint-key"
}

// rowsRead shows on a terminal how many rows were verified.
func (a *app) rowsRead() (show func(int64), done func()) {
	if !isTerminal(a.stderr) {
		return nil, func() {}
	}
	width := 0
	show = func(n int64) {
		text := fmt.Sprintf("verified %d rows", n)
		width = len(text)
		_, _ = fmt.Fprint(a.stderr, "\r"+text)
	}
	return show, func() {
		if width > 0 {
			_, _ = fmt.Fprintf(a.stderr, "\r%s\r", strings.Repeat(" ", width))
		}
	}
}

// auditReportJSON is the report of a log without faults.
type auditReportJSON struct {
	Rows       int64           `json:"rows"`
	Keys       int64           `json:"keys"`
	Newest     *newestJSON     `json:"newest"`
	Checkpoint *checkpointJSON `json:"checkpoint"` // null: rows cut off at the end would not be noticed
}

type newestJSON struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Hash string    `json:"hash"`
}

type checkpointJSON struct {
	Seq        int64     `json:"seq"`
	At         time.Time `json:"at"`
	Hash       string    `json:"hash"`
	Generation string    `json:"generation"`
}

func newCheckpointJSON(c *audit.Checkpoint) *checkpointJSON {
	if c == nil {
		return nil
	}
	return &checkpointJSON{c.Seq, c.At, hex.EncodeToString(c.Hash), c.Generation}
}

func (a *app) printAuditReport(report audit.Report, c *audit.Checkpoint) error {
	if a.output == formatJSON {
		out := auditReportJSON{Rows: report.Rows, Keys: report.Keys, Checkpoint: newCheckpointJSON(c)}
		if h := report.Head; h != nil {
			out.Newest = &newestJSON{h.Seq, h.At, hex.EncodeToString(h.Hash)}
		}
		return a.printJSON(out)
	}
	text := fmt.Sprintf("the audit log is intact: checked %s and %s\n", wording.Counted(int(report.Rows), "row", "rows"), wording.Counted(int(report.Keys), "key", "keys"))
	if h := report.Head; h != nil {
		text += fmt.Sprintf("  newest      row %d, %s\n", h.Seq, a.when(h.At))
	}
	if c != nil {
		text += fmt.Sprintf("  checkpoint  row %d, %s: the log continues it\n", c.Seq, a.when(c.At))
	}
	if err := a.print(text); err != nil {
		return err
	}
	switch {
	case c == nil:
		a.say("Without a checkpoint, rows that were cut off at the end are not noticed. To make one: %s", a.command("audit", "checkpoint"))
	case report.Restored:
		a.say("The key store was restored from a backup, or replaced, since that checkpoint. All rows up to the checkpoint are there.")
	}
	return nil
}

// auditError is a log with faults.
type auditError struct{ report audit.Report }

func (e *auditError) Error() string {
	text := "the audit log is not intact: " + e.report.Faults[0].String()
	if e.report.Restored {
		text += " (the key store was restored from a backup, or replaced, since the checkpoint)"
	}
	return text
}

// lines are the faults after the first, which is in the sentence.
func (e *auditError) lines() []string {
	var out []string
	for _, f := range e.report.Faults[1:] {
		out = append(out, wording.Clean(f.String()))
	}
	if e.report.Omitted > 0 {
		out = append(out, fmt.Sprintf("and %d more", e.report.Omitted))
	}
	return out
}

type faultJSON struct {
	Seq    int64  `json:"seq,omitempty"`
	KeyID  string `json:"key_id,omitempty"`
	Reason string `json:"reason"`
}

func (e *auditError) faults() []faultJSON {
	var out []faultJSON
	for _, f := range e.report.Faults {
		out = append(out, faultJSON{f.Seq, wording.Clean(f.KeyID), f.Reason})
	}
	return out
}

type auditCheckpointFlags struct{ keyFile, outFile string }

func newAuditCheckpoint(a *app) *cobra.Command {
	f := &auditCheckpointFlags{}
	cmd := &cobra.Command{
		Use:     "checkpoint",
		Short:   "Sign the state of the audit log, to keep elsewhere",
		GroupID: groupAudit,
		Long: `Print a signed note with the number and the hash of the newest audit row. Keep
it on a machine where users of this database cannot write. Later, audit verify
--checkpoint NOTE shows whether rows were cut off since.

The first run makes a signing key, DB.checkpoint-key (0600), and prints the line
that verifies its notes. The line is not secret. Keep it with the notes: if it
is only here, an intruder can sign other notes in their place.

This command does not check the log. Run audit verify for that, best with the
previous note.`,
		Example: `  keyctl audit checkpoint | ssh backup.example 'cat >audit-$(date +%F).note'
  keyctl audit verify --checkpoint old && keyctl audit checkpoint >new`,
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
	flags.StringVar(&f.keyFile, "key-file", "", "sign with the key in this `FILE`; made if it does not exist (default DB.checkpoint-key)")
	flags.StringVar(&f.outFile, "out-file", "", "write the note to this new `FILE` instead of printing it")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// signedJSON is a checkpoint with its signed note.
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
		a.say("made the signing key %s; keep this line elsewhere, to verify its notes:\n\n  %s\n", wording.Clean(path), signer.VerifierKey)
	}
	c, err := audit.NewCheckpoint(ctx, r, a.now())
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
