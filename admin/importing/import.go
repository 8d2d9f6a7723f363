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

// MaxImport is how many keys one import takes. Memory and other writers do not suffer by
// more; a file that is so long is more often a mistake.
const MaxImport = 200_000

// maxRefused is how many refused rows a report tells one by one.
const maxRefused = 20

// Row is one key of another system: what it may do here, and either its token or
// the hash of it.
type Row struct {
	Line int   // where it stands in its source, for the report
	Flaw error // why it could not be read; the rest is then not looked at

	// ID is the public id that the key had. Under a slow hash it is what the token has
	// before its first dot, and required. It is noted in the metadata imported_id.
	ID  string
	Key keys.Secret // the token; goes without Hash
	// KeyID is the id that the key had in a key store of mcpkeys, which its token names.
	KeyID string
	Hash  pepper.Hash // what was kept of it; see [pepper.ParseHash]

	admin.IssueRequest // an ordinary key; without Expires or Owner, what the options say
}

// Options says how [Import] goes about. The zero value is ready for
// use.
type Options struct {
	Partial  bool           // import the good rows, though others are refused
	DryRun   bool           // write nothing; the report is the same
	Owner    string         // of rows that name none
	Expires  keys.Expiry    // of rows that name none; zero means [keys.DefaultLife]
	Progress func(rows int) // called now and then with how many were dealt with; nil is fine
}

// Report tells what became of the rows.
type Report struct {
	Rows     int          // all that were read
	Imported int          // and written, or would have been
	Already  int          // and were there, exactly like this
	Slow     int          // of those imported, how many are under a slow hash
	Refused  int          // and why, of the first of them
	Reasons  []RefusedRow // ordered by line
}

// RefusedRow is a row and what is wrong with it. The reason repeats nothing of a key or
// a hash.
type RefusedRow struct {
	Line   int
	Reason error
}

// ErrRefused is that there were rows that cannot be imported, so none was.
var ErrRefused = errors.New("nothing was imported, because of rows that cannot be")

// errDryRun takes everything back in the end.
var errDryRun = errors.New("dry run")

// Import writes keys of another system. Their tokens stay good as they are. All of them
// become valid at once, with an audit row each, or none of them and the error is
// [ErrRefused]; with Partial those that can be. The report is valid with either.
//
// Rows are written as they are read, in parts, so that other changes wait for a part and
// not for the import: see [store.Store.CreateAll]. Once a row is refused, without Partial, the
// rest is only tried.
//
// A row whose key is there already, with all that the row says, changes nothing and is
// counted: the same file may be imported again. A token that is another key's, or whose
// key differs, is refused, also if that key is revoked: an import brings no revoked token
// back.
//
// It is no verb of [admin.Manager]: a file of tokens does not travel.
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
