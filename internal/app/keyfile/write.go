package keyfile

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Writer writes a file row by row. What it holds back goes out with Flush and Close.
type Writer struct {
	format Format
	out    *bufio.Writer
	cells  *csv.Writer // of CSV
	rows   int
}

// NewWriter returns a writer of a file of that format.
func NewWriter(w io.Writer, format Format) *Writer {
	out := bufio.NewWriter(w)
	return &Writer{format: format, out: out, cells: csv.NewWriter(out)}
}

// Write writes one row.
func (w *Writer) Write(row *Row) error {
	w.rows++
	switch w.format {
	case CSV:
		return w.writeCells(row)
	case JSON:
		before := ",\n  "
		if w.rows == 1 {
			before = "[\n  "
		}
		text, err := w.json(row)
		_, _ = w.out.WriteString(before + strings.TrimSuffix(text, "\n")) // Flush reports it
		return err
	}
	text, err := w.json(row)
	_, _ = w.out.WriteString(text) // Flush reports it
	return err
}

func (w *Writer) json(row *Row) (string, error) {
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if w.format == JSON {
		out.SetIndent("  ", "  ")
	}
	err := out.Encode(row)
	return b.String(), err
}

func (w *Writer) writeCells(row *Row) error {
	if w.rows == 1 {
		_ = w.cells.Write(columns) // Flush reports it
	}
	cells, err := row.cells()
	if err != nil {
		return err
	}
	return w.cells.Write(cells)
}

// Flush writes what was held back.
func (w *Writer) Flush() error {
	w.cells.Flush()
	return errors.Join(w.cells.Error(), w.out.Flush())
}

// Close writes what a file has at its end, and what was held back. It does not close the
// underlying writer.
func (w *Writer) Close() error {
	switch {
	case w.format == CSV && w.rows == 0:
		_ = w.cells.Write(columns) // Flush reports it
	case w.format == JSON && w.rows == 0:
		_, _ = w.out.WriteString("[]\n") // Flush reports it
	case w.format == JSON:
		_, _ = w.out.WriteString("\n]\n") // Flush reports it
	}
	return w.Flush()
}

// NewRow returns the row of a key, without its hash. Its status is as of now. Its texts have no
// control characters, even if the database has.
func NewRow(k *keys.Key, now time.Time) Row {
	row := Row{
		KeyID: wording.Clean(k.ID), ID: wording.Clean(k.ImportedID()), Name: wording.Clean(k.Name), Owner: wording.Clean(k.Owner),
		Scopes: clean(k.Scopes), Audience: clean(k.Audience), ExpiresAt: "never",
		Kind: wording.Clean(string(k.Kind)), Status: string(k.Status(now)), CreatedAt: k.CreatedAt.UTC().Format(time.RFC3339Nano),
	}
	for name, value := range k.Metadata {
		if row.Metadata == nil {
			row.Metadata = map[string]string{}
		}
		row.Metadata[wording.Clean(name)] = wording.Clean(value)
	}
	for _, p := range k.AllowedIPs {
		row.AllowedIPs = append(row.AllowedIPs, p.String())
	}
	if !k.RateLimit.IsZero() {
		row.RateLimit = k.RateLimit.String()
	}
	if !k.ExpiresAt.IsZero() {
		row.ExpiresAt = k.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	return row
}

func clean(texts []string) (list []string) {
	for _, text := range texts {
		list = append(list, wording.Clean(text))
	}
	return list
}

// AddHash adds the hash of k's newest secret, unless k is revoked. Guesses of the secret can be
// tried on the hash.
func (r *Row) AddHash(k *keys.Key) {
	if k.RevokedAt.IsZero() && len(k.Secrets) > 0 {
		r.Hash = k.Secrets[len(k.Secrets)-1].Hash()
	}
}

func (r *Row) cells() ([]string, error) {
	metadata := ""
	if len(r.Metadata) > 0 {
		text, err := json.Marshal(r.Metadata)
		if err != nil {
			return nil, err
		}
		metadata = string(text)
	}
	cells := []string{
		r.ID, r.Name, r.Owner, strings.Join(r.Scopes, " "), strings.Join(r.Audience, " "), strings.Join(r.AllowedIPs, " "),
		r.RateLimit, metadata, r.ExpiresAt, r.Key, r.Hash, r.Kind, r.Status, r.KeyID, r.CreatedAt,
	}
	for i := range cells {
		cells[i] = guarded(cells[i])
	}
	return cells, nil
}

// guarded puts an apostrophe before a cell that a spreadsheet would run, and before a cell that
// begins with an apostrophe, so that unguarded can undo it.
func guarded(cell string) string {
	if wording.Formula(cell) || strings.HasPrefix(cell, "'") {
		return "'" + cell
	}
	return cell
}

// unguarded undoes guarded.
func unguarded(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && (wording.Formula(rest) || strings.HasPrefix(rest, "'")) {
		return rest
	}
	return cell
}
