package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// The shape of a database is the content of its table sqlite_schema: the text of each
// table, index, view and trigger, and where it begins in the file. A trigger could undo a
// revocation and a view could hide it, without a pepper. So the shape is compared with that
// of mcpkeys with each look at the feed, inside each write transaction, and when a
// connection is opened. SQLite's schema version is not enough: writing into sqlite_schema
// directly does not change it.
//
// SQLite uses the schema that a connection has parsed, which may differ from the file. So
// each watched connection parses the schema in the same state of the database in which its
// shape is read, and is closed when the shape changes.

// shapeText yields the shape as one text, different for different shapes, because every
// value follows its length. It takes about 20 µs, a third of what the rows take.
const shapeText = shapeHead + `main` + shapeTail

const shapeHead = `(SELECT group_concat(concat_ws(',', octet_length(type), type, octet_length(name), name,
	octet_length(tbl_name), tbl_name, octet_length(rootpage), rootpage, ifnull(octet_length(sql), '-'), sql), ';') FROM `
const shapeTail = `.sqlite_schema)`

// parseAnew has a connection forget the schema that it parsed.
const parseAnew = `PRAGMA writable_schema = RESET`

// object is a row of sqlite_schema.
type object struct{ kind, name, table, sql string }

// shape is what was found in one state of a database.
type shape struct {
	text    string
	strange []object // that mcpkeys did not make
	missing int      // objects of mcpkeys
	newer   bool     // the schema is of a version that this program does not know
}

// allowed are objects that others make in any database, exactly as they make them: SQLite
// for its statistics, and Litestream, which replicates databases.
var allowed = []object{
	{"table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"},
	{"table", "sqlite_stat4", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"},
	{"table", "_litestream_seq", "_litestream_seq", "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)"},
	{"table", "_litestream_lock", "_litestream_lock", "CREATE TABLE _litestream_lock (id INTEGER)"},
}

// judgeShape compares a shape with the objects of the schema's version.
func judgeShape(text string, ours []object) (*shape, error) {
	found, err := parseShape(text)
	if err != nil {
		return nil, err
	}
	s := &shape{text: text}
	left := slices.Clone(ours)
	for _, o := range found {
		if i := slices.Index(left, o); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else if !slices.Contains(allowed, o) {
			s.strange = append(s.strange, o)
		}
	}
	s.missing = len(left)
	return s, nil
}

// parseShape takes apart what shapeText put together.
func parseShape(text string) ([]object, error) {
	var found []object
	for rest := text; rest != ""; {
		var o object
		var root string
		for _, into := range []*string{&o.kind, &o.name, &o.table, &root, &o.sql} {
			length, after, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(length)
			if into == &o.sql && strings.HasPrefix(rest, "-") {
				rest = rest[1:]
				continue
			}
			if err != nil || n < 0 || n > len(after) {
				return nil, errShape
			}
			*into, rest = after[:n], strings.TrimPrefix(after[n:], ",")
		}
		if rest != "" && rest[0] != ';' {
			return nil, errShape
		}
		rest = strings.TrimPrefix(rest, ";")
		found = append(found, o)
	}
	return found, nil
}

// errShape: there are rows in sqlite_schema that SQLite never writes.
var errShape = &feed.AlteredError{What: "its list of tables cannot be read", Fix: adviceRestore}

const adviceRestore = "restore a backup with 'keyctl restore', and read the audit log"

// objectsOf returns the objects of a version of the schema, as SQLite makes them of its
// text.
func objectsOf(ctx context.Context, schema string) ([]object, error) {
	db := openConns(":memory:", 1, false)
	defer func() { _ = db.Close() }() // it is gone with that
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, unavailable("make schema", err)
	}
	var text string
	if err := db.QueryRowContext(ctx, `SELECT `+shapeText).Scan(&text); err != nil {
		return nil, unavailable("read schema", err)
	}
	return parseShape(text)
}

// readShape reads and judges the shape of an mcpkeys database. It is called in a
// transaction, so that version and shape are of one state.
func readShape(ctx context.Context, tx querier) (*shape, error) {
	var version int
	var text string
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, unavailable("read schema", err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT `+shapeText).Scan(&text); err != nil {
		return nil, unavailable("read schema", err)
	}
	return shapeOf(ctx, version, text)
}

func shapeOf(ctx context.Context, version int, text string) (*shape, error) {
	if version < 1 || version > schemaVersion {
		return &shape{text: text, newer: true}, nil
	}
	ours, err := objectsOf(ctx, schemaAt(version))
	if err != nil {
		return nil, err
	}
	return judgeShape(text, ours)
}

// altered says what is wrong with a shape; nil if nothing is.
func (s *shape) altered() error {
	switch {
	case s.newer:
		return &feed.AlteredError{What: "this program does not know its schema version", Fix: "update this program, and start it again"}
	case s.missing > 0 && len(s.strange) == 0:
		return &feed.AlteredError{What: fmt.Sprintf("it lacks %d of its tables, indexes and triggers", s.missing), Fix: adviceRestore}
	case len(s.strange) > 0:
		return &feed.AlteredError{What: s.naming(), Fix: s.advice()}
	}
	return nil
}

// whole reports whether no object of mcpkeys is missing: other triggers may then fire, but
// no view can replace a table.
func (s *shape) whole() bool { return s.missing == 0 && !s.newer }

// lacks is how many objects of mcpkeys are missing.
func (s *shape) lacks() int {
	if s == nil {
		return 0
	}
	return s.missing
}

func (s *shape) naming() string {
	text := fmt.Sprintf("it contains the %s, which mcpkeys did not make", s.strange[0].label())
	if n := len(s.strange) - 1; n > 0 {
		text = fmt.Sprintf("it contains the %s and %d more, which mcpkeys did not make", s.strange[0].label(), n)
	}
	if s.missing > 0 {
		text += fmt.Sprintf(", and lacks %d of its own tables, indexes and triggers", s.missing)
	}
	return text
}

// advice names what removes the objects, where that is enough.
func (s *shape) advice() string {
	var drops []string
	for _, o := range s.strange {
		drop, ok := o.drop()
		if !ok || s.missing > 0 {
			return adviceRestore
		}
		drops = append(drops, drop)
	}
	const most = 5
	if len(drops) > most {
		drops = append(drops[:most], "…")
	}
	return fmt.Sprintf("find out who made it, drop it in a database shell (%s), and run 'keyctl audit verify'", strings.Join(drops, "; "))
}

// maxObjectName is how long a name may be that is shown.
const maxObjectName = 100

func (o object) showable() bool {
	return len(o.name) <= maxObjectName && !keys.HoldsToken(o.name)
}

func (o object) label() string {
	if !o.showable() {
		return o.kindName() + " with a name that is not shown"
	}
	return fmt.Sprintf("%s %q", o.kindName(), o.name)
}

func (o object) kindName() string {
	if slices.Contains([]string{"table", "index", "view", "trigger"}, o.kind) {
		return o.kind
	}
	return "object"
}

// drop is the statement that removes the object. SQLite drops no table and no index whose
// name is reserved.
func (o object) drop() (string, bool) {
	reserved := strings.HasPrefix(strings.ToLower(o.name), "sqlite_")
	if o.kindName() == "object" || o.sql == "" || !o.showable() || reserved && o.kind != "trigger" {
		return "", false
	}
	return fmt.Sprintf(`DROP %s "%s"`, strings.ToUpper(o.kind), strings.ReplaceAll(o.name, `"`, `""`)), true
}

// schemaWatch is the shape that the connections of one database have parsed.
type schemaWatch struct {
	known atomic.Pointer[shape]
	turns atomic.Int64 // counts shapes: another one is another incarnation
}

// see takes over another shape.
func (w *schemaWatch) see(s *shape) {
	if known := w.known.Load(); known == nil || known.text != s.text {
		w.known.Store(s)
		w.turns.Add(1)
	}
}

// stale reports whether a connection parsed another shape than the present one.
func (w *schemaWatch) stale(parsed string) bool {
	known := w.known.Load()
	return known != nil && known.text != parsed
}

// altered says what is wrong with the shape that was seen last.
func (w *schemaWatch) altered() error {
	known := w.known.Load()
	if known == nil {
		return errors.New("the schema was not compared yet")
	}
	return known.altered()
}
