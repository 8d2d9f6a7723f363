package importing

import (
	"context"
	"errors"
	"iter"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// MaxImport is how many keys one import takes. More would harm neither memory nor other
// writers, but such a long file is probably a mistake.
const MaxImport = 200_000

// maxRefused is how many refused rows a report lists.
const maxRefused = 20

// Row is one key of another system: its grants here, and either its token or its hash.
type Row struct {
	Line int   // its line in the source, for the report
	Flaw error // why it could not be read; the other fields are then ignored

	// ID is the public id that the key had. With a slow hash it is required, and is the part of
	// the token before its first dot. It is kept in the metadata as imported_id.
	ID  string
	Key keys.Secret // the token; not together with Hash
	// KeyID is the id that the key had in a key store of mcpkeys, which its token names.
	KeyID string
	Hash  pepper.Hash // its hash; see [pepper.ParseHash]

	admin.IssueRequest // an ordinary key; Expires and Owner default to the options
}

// Options configures [Import]. The zero value is valid.
type Options struct {
	Partial  bool           // import the valid rows, even if others are refused
	DryRun   bool           // write nothing; the report is the same
	Owner    string         // of rows without one
	Expires  keys.Expiry    // of rows without one; zero means [keys.DefaultLife]
	Progress func(rows int) // called now and then with the number of rows so far; may be nil
}

// Report is the result of an import.
type Report struct {
	Rows     int          // all rows
	Imported int          // rows imported, or in a dry run importable
	Already  int          // rows whose key exists with the same values
	Slow     int          // imported rows with a slow hash
	Refused  int          // refused rows
	Reasons  []RefusedRow // of the first refused rows, ordered by line
}

// RefusedRow is a row and what is wrong with it. The reason quotes no part of a key or a hash.
type RefusedRow struct {
	Line   int
	Reason error
}

// ErrRefused means that rows are invalid, so nothing was imported.
var ErrRefused = errors.New("nothing was imported: some rows are invalid")

// errDryRun rolls back everything at the end.
var errDryRun = errors.New("dry run")

// Import writes keys of another system. Their tokens stay valid. Either all of them become
// valid at once, with an audit row each, or none and the error is [ErrRefused]; with Partial,
// the valid rows are imported. The report is set in both cases.
//
// Rows are written while they are read, in parts, so that other changes wait for one part and
// not for the whole import: see [store.Store.CreateAll]. After the first refused row, without
// Partial, the rest is only checked.
//
// A row whose key exists with the same values changes nothing and is counted: the same file may
// be imported again. A token of another key, or of a key with other values, is refused, also if
// that key is revoked: an import never makes a revoked token valid.
//
// It is not a method of [admin.Manager], because a file of tokens should not be sent.
func Import(ctx context.Context, m *admin.Local, rows iter.Seq2[Row, error], o Options) (Report, error) {
	im := newImporter(m, o)
	err := m.Store().CreateAll(ctx, store.NewKeys{
		Batch: im.batch, Actor: m.Actor(),
		Told: im.told, Vain: im.vain, Judge: im.judge, Done: func(n int) (audit.Event, error) { return im.done(ctx, n) },
	}, im.keys(ctx, rows))
	im.tell()
	if errors.Is(err, errDryRun) {
		err = nil
		if im.report.Refused > 0 && !o.Partial {
			err = ErrRefused
		}
	}
	return im.report, err
}
