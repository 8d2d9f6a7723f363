package keyfile

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Write writes rows to w.
func Write(w io.Writer, format Format, rows []Row) error {
	switch format {
	case CSV:
		return writeCSV(w, rows)
	case JSON:
		out := encoder(w)
		out.SetIndent("", "  ")
		return out.Encode(rows)
	}
	out := encoder(w)
	for i := range rows {
		if err := out.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func encoder(w io.Writer) *json.Encoder {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out
}

func writeCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for i := range rows {
		cells, err := rows[i].cells()
		if err != nil {
			return err
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
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
