package sqlite

import (
	"context"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	selectChangeSeq = `SELECT value FROM meta WHERE name = 'change_seq'`

	// One statement, so one state of the database: the number and the events
	// belong together whoever is writing.
	selectChanges = `SELECT m.value, e.key_id FROM meta m
		LEFT JOIN events e ON e.seq > ?1 AND e.seq <= m.value
		WHERE m.name = 'change_seq' ORDER BY e.seq`
)

// Changes implements [keys.Feed]. A position is the number of an event. Lost means
// that events since then are missing, or that the database is an older one than
// the position is from.
func (r *Reader) Changes(ctx context.Context, since int64) (keys.Changes, error) {
	if err := r.gate.enter(); err != nil {
		return keys.Changes{}, err
	}
	defer r.gate.leave()
	var seq int64
	if err := r.changeSeq.QueryRowContext(context.WithoutCancel(ctx)).Scan(&seq); err != nil {
		return keys.Changes{}, unavailable("read change number", err)
	}
	if since < 0 || since == seq {
		return keys.Changes{Seq: seq}, nil
	}
	return r.changes(ctx, since)
}

func (r *Reader) changes(ctx context.Context, since int64) (keys.Changes, error) {
	rows, err := r.db.QueryContext(ctx, selectChanges, since)
	if err != nil {
		return keys.Changes{}, unavailable("read changes", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var c keys.Changes
	var found int64
	seen := map[string]bool{}
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&c.Seq, &id); err != nil {
			return keys.Changes{}, unavailable("read changes", err)
		}
		if id == nil {
			continue // no event at all
		}
		found++
		if !seen[string(id)] {
			seen[string(id)] = true
			c.IDs = append(c.IDs, string(id))
		}
	}
	if err := rows.Err(); err != nil {
		return keys.Changes{}, unavailable("read changes", err)
	}
	if found != c.Seq-since { // also when since lies ahead
		return keys.Changes{Seq: c.Seq, Lost: true}, nil
	}
	return c, nil
}
