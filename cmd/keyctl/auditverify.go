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
		Short:   "Check that the audit log is whole, and every key as it tells",
		GroupID: groupAudit,
		Long: `Check the whole audit log of the key store on this machine: that no row was
changed, removed or put in between, and that every key is as its newest row tells.
The first row or the keys that do not hold are named, and the exit code is 2.

The log is a chain of hashes, and a chain cannot show that its end was cut off, nor
that it was computed again. --checkpoint takes a note that audit checkpoint made
before, and shows both. The note is verified with --verifier-key, the line that was
printed when the first one was made; without it with DB.checkpoint-key, and then who
can write that file can write the note.`,
		Example: `  keyctl audit verify
  keyctl audit verify --checkpoint monday.note --verifier-key "$(cat audit.pub)"`,
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
	flags.StringVar(&f.checkpoint, "checkpoint", "", "the log must go on from the note in this `FILE`")
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
			return nil, usagef("there is no checkpoint key at %s to verify the note with; say --verifier-key, or --key-file", wording.Clean(path))
		}
		if err != nil {
			return nil, err
		}
	}
	c, err := checkpoint.Open(note, verifierKey)
	return &c, err
}

// maxNoteFile is more than a note of ours has, in bytes.
const maxNoteFile = 64 << 10

func readNote(ctx context.Context, path string) (string, error) {
	file, err := infile.Open(ctx, path)
	if err != nil {
		return "", usagef("--checkpoint cannot be read (%v); name the file that `keyctl audit checkpoint` wrote", bare(err))
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxNoteFile+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", usagef("--checkpoint cannot be read (%v); name the file that `keyctl audit checkpoint` wrote", bare(err))
	}
	return string(text), nil
}

// checkpointKey is where the key lies that signs, unless somebody says otherwise.
func checkpointKey(s connect.Settings, named string) string {
	if named != "" {
		return named
	}
	return s.DB + ".checkpoint-key"
}

// rowsRead is progress where nobody knows how many there are.
func (a *app) rowsRead() (show func(int64), done func()) {
	if !isTerminal(a.stderr) {
		return nil, func() {}
	}
	width := 0
	show = func(n int64) {
		text := fmt.Sprintf("verified %d rows", n)
		width = len(text)
		_, _ = fmt.Fprint(a.stderr, "\r"+text) // words only
	}
	return show, func() {
		if width > 0 {
			_, _ = fmt.Fprintf(a.stderr, "\r%s\r", strings.Repeat(" ", width))
		}
	}
}

// auditReportJSON is a log that holds.
type auditReportJSON struct {
	Rows       int64           `json:"rows"`
	Keys       int64           `json:"keys"`
	Newest     *newestJSON     `json:"newest"`
	Checkpoint *checkpointJSON `json:"checkpoint"` // null: a cut tail would not have been seen
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
	text := fmt.Sprintf("the audit log holds: %s, and %s compared with it\n", wording.Counted(int(report.Rows), "row", "rows"), wording.Counted(int(report.Keys), "key", "keys"))
	if h := report.Head; h != nil {
		text += fmt.Sprintf("  newest      row %d, %s\n", h.Seq, a.when(h.At))
	}
	if c != nil {
		text += fmt.Sprintf("  checkpoint  row %d, %s: the log goes on from there\n", c.Seq, a.when(c.At))
	}
	if err := a.print(text); err != nil {
		return err
	}
	switch {
	case c == nil:
		a.say("Without a checkpoint nobody can see whether rows were cut off at the end: %s", a.command("audit", "checkpoint"))
	case report.Restored:
		a.say("The key store was restored from a backup, or replaced, since that checkpoint; all that it saw is there.")
	}
	return nil
}

// auditError is a log that does not hold.
type auditError struct{ report audit.Report }

func (e *auditError) Error() string {
	text := "the audit log does not hold: " + e.report.Faults[0].String()
	if e.report.Restored {
		text += " (the key store was restored from a backup, or replaced, since the checkpoint)"
	}
	return text
}

// lines are the faults beyond the first, which is in the sentence.
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
