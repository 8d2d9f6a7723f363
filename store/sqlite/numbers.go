package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// Counters have 48 bits: change and event numbers, numbers of audit rows, and versions of
// keys. With a thousand changes a second that is enough for 8,900 years.
const (
	maxSeq = 1<<seqBits - 1 // the schema refuses what is larger

	// mostSeq is the largest that mcpkeys takes for a number of its own. What is above it
	// was written by another program, though there is room: without that band such a store
	// would look sound until the next change finds none. A number may be written into the
	// band, by the one change that begins at its edge.
	mostSeq = maxSeq - 1<<40
)

// selectNumbers yields the numbers of a store together with its shape: one statement, so
// one state.
const selectNumbers = `SELECT (SELECT value FROM meta WHERE name = 'change_seq'),
	(SELECT value FROM meta WHERE name = 'generation'), (SELECT value FROM meta WHERE name = 'generation_number'),
	(SELECT value FROM meta WHERE name = 'epoch_id'), (SELECT value FROM meta WHERE name = 'store_id'),
	(SELECT max(seq) FROM events), (SELECT id FROM events WHERE seq = (SELECT value FROM meta WHERE name = 'change_seq')),
	(SELECT max(seq) FROM audit),
	(SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), ` + anyImported + `, ` + shapeText

// numbers are the counters of a store. A database shell can write anything there, so they
// are read as they are and judged by altered.
type numbers struct {
	seq, generation, term, epoch, store any
	event, audit                        sql.NullInt64 // of the newest row
	eventID                             []byte        // of the row with the number seq
	hash                                []byte        // of the newest audit row
	imported                            bool
	shape                               string
}

// readNumbers takes what selectNumbers yields.
func readNumbers(row *sql.Row) (n numbers, err error) {
	err = row.Scan(&n.seq, &n.generation, &n.term, &n.epoch, &n.store, &n.event, &n.eventID, &n.audit, &n.hash, &n.imported, &n.shape)
	return n, unavailable("read change number", err)
}

// altered says which of the numbers mcpkeys did not write. Store is the id in the pepper
// file.
func (n *numbers) altered(store pepper.StoreID) error {
	if what := n.odd(store, mostSeq); what != "" {
		return &feed.AlteredError{What: what, Fix: adviceRestore}
	}
	return nil
}

// odd says which number mcpkeys did not write; numbers above most count as such.
func (n *numbers) odd(store pepper.StoreID, most int64) string {
	seq, isNumber := n.seq.(int64)
	generation, isText := n.generation.(string)
	term, isCount := n.term.(int64)
	id, isBlob := n.store.([]byte)
	switch {
	case !isNumber || seq < 0 || seq > most:
		return "its change number (change_seq) is missing, or mcpkeys did not write it"
	case n.event.Valid && n.event.Int64 > seq:
		return "its feed (events) is ahead of its change number"
	case n.audit.Valid && (n.audit.Int64 < 1 || n.audit.Int64 > most || len(n.hash) != hashLen):
		return "its audit rows have numbers that mcpkeys did not write"
	case !isText || generation == "":
		return "its generation is missing, or mcpkeys did not write it"
	case !isCount || term < 1 || term > maxTerm:
		return "its generation number is missing, or mcpkeys did not write it"
	case !isBlob || !bytes.Equal(id, store[:]):
		return "its store id is not the one of the pepper file"
	}
	return ""
}

// standing is the position in the database, for the comparison with its epoch page. An epoch
// id that mcpkeys did not write matches no page.
func (n *numbers) standing() (s standing, err error) {
	if id, ok := n.epoch.([]byte); ok && len(id) == len(s.id) {
		s.id = epochID(id)
	}
	seq, isNumber := n.seq.(int64)
	term, isCount := n.term.(int64)
	if !isNumber || !isCount {
		seq = -1
	}
	s.word, err = wordOf(term, seq)
	return s, err
}

// hashLen is the length of an audit row's hash.
const hashLen = 32

// changeSeq is the change number of numbers that are not altered.
func (n *numbers) changeSeq() int64 {
	seq, _ := n.seq.(int64)
	return seq
}

// numbersOf reads the numbers of a database, in a transaction or by itself.
func numbersOf(ctx context.Context, db querier) (numbers, error) {
	return readNumbers(db.QueryRowContext(ctx, selectNumbers))
}

// storeOf returns the id of the key store in a database.
func storeOf(ctx context.Context, db querier) (id pepper.StoreID, err error) {
	var stored any
	err = db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, metaStoreID).Scan(&stored)
	if raw, ok := stored.([]byte); ok && len(raw) == len(id) {
		return pepper.StoreID(raw), nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return id, unavailable("read store id", err)
	}
	return id, &feed.AlteredError{What: "its store id is missing, or mcpkeys did not write it", Fix: adviceRestore}
}
