// Package keyfile reads and writes the files of `keyctl import` and `keyctl export`: JSON
// lines, and CSV with the same columns.
//
// [Read] turns a file into rows for importing.Import, one at a time. A line that cannot be
// read becomes a row with a Flaw and its number, and reading continues, so that the user gets
// all wrong lines at once. A [Writer] writes rows that Read can read.
//
// The package does not check what a key may be: that is for package keys. Its errors repeat
// nothing of a file, because any part of it may be a secret.
package keyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// Format is how a file is written.
type Format string

// The formats.
const (
	JSONL Format = "jsonl" // one object a line
	JSON  Format = "json"  // one list of objects; Read cannot read it
	CSV   Format = "csv"   // with a header; lists are separated by spaces, metadata is JSON
)

// maxLine is the longest row in bytes; a key with the longest lists is shorter.
const maxLine = 64 << 10

// Row is one key in a file.
type Row struct {
	ID         string            `json:"id,omitempty"` // its public id in the other system
	Name       string            `json:"name"`
	Owner      string            `json:"owner,omitempty"`
	Scopes     []string          `json:"scopes,omitempty"`
	Audience   []string          `json:"audience,omitempty"`
	AllowedIPs []string          `json:"allowed_ips,omitempty"`
	RateLimit  string            `json:"rate_limit,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	ExpiresAt  string            `json:"expires_at,omitempty"` // a time, a duration, or never
	Key        string            `json:"key,omitempty"`
	Hash       string            `json:"hash,omitempty"`

	// Export adds these. Import uses KeyID for a key whose hash is one of mcpkeys, and refuses a
	// Status that is not valid.
	Kind      string `json:"kind,omitempty"`
	Status    string `json:"status,omitempty"`
	KeyID     string `json:"key_id,omitempty"` // its id here
	CreatedAt string `json:"created_at,omitempty"`
}

// columns are the names of Row's fields, in the order of CSV.
var columns = []string{
	"id", "name", "owner", "scopes", "audience", "allowed_ips", "rate_limit", "metadata", "expires_at", "key", "hash",
	"kind", "status", "key_id", "created_at",
}

// flaw is an error of a row.
func flaw(field, reason string, args ...any) error {
	return &keys.InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

// request parses the texts of a row.
func (r *Row) request(line int) importing.Row {
	out := importing.Row{Line: line, ID: r.ID, KeyID: r.KeyID}
	if r.Key != "" {
		out.Key = keys.NewSecret(r.Key)
	}
	out.Name, out.Owner, out.Scopes, out.Audience, out.Metadata = r.Name, r.Owner, r.Scopes, r.Audience, r.Metadata
	out.Flaw = r.parse(&out)
	return out
}

func (r *Row) parse(out *importing.Row) (err error) {
	if r.Kind != "" {
		if out.Kind, err = keys.ParseKind(r.Kind); err != nil {
			return err
		}
	}
	if valid := []string{"", string(keys.StatusActive), string(keys.StatusExpiring)}; !slices.Contains(valid, r.Status) {
		return flaw("status", "must be active or expiring: other keys are not imported")
	}
	if out.AllowedIPs, err = keys.ParseAllowedIPs(r.AllowedIPs); err != nil {
		return err
	}
	if r.RateLimit != "" {
		if out.RateLimit, err = keys.ParseRateLimit(r.RateLimit); err != nil {
			return err
		}
	}
	if r.Hash != "" {
		if out.Hash, err = pepper.ParseHash(r.Hash); err != nil {
			return err
		}
	}
	out.Expires, err = keys.ParseExpiry(r.ExpiresAt)
	return err
}

// known lists the columns, for errors about unknown names.
func known() string { return strings.Join(columns, ", ") }
