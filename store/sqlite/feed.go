package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	anyImported = `EXISTS (SELECT 1 FROM secrets WHERE lookup IS NOT NULL)`

	selectChangeSeq = `SELECT s.value, g.value, ` + anyImported + ` FROM meta s, meta g
		WHERE s.name = 'change_seq' AND g.name = 'generation'`

	// One statement, so one state of the database: the number and the events
	// belong together whoever is writing.
	selectChanges = `SELECT m.value, e.key_id, e.kind, ` + anyImported + ` FROM meta m
		LEFT JOIN events e ON e.seq > ?1 AND e.seq <= m.value
		WHERE m.name = 'change_seq' ORDER BY e.seq LIMIT ?2`

	// maxChanges is how many events are told one by one. A reader that has missed more
	// forgets all that it knows, which is quicker than to look for so many ids.
	maxChanges = 10_000
)

// Epoch implements [keys.Feed]. See the type epoch.
func (r *Reader) Epoch() uint64 { return r.epoch.load() }

// Changes implements [keys.Feed]. A position is the number of an event in one
// incarnation of the database. Lost means that events since then are missing, that
// the database is an older one than the position is from, or that another file has
// taken the place of the database or of its epoch.
func (r *Reader) Changes(ctx context.Context, since keys.Position) (keys.Changes, error) {
	ctx = context.WithoutCancel(ctx)
	if err := r.follow(ctx); err != nil {
		return keys.Changes{}, err
	}
	if err := r.gate.enter(); err != nil {
		return keys.Changes{}, err
	}
	defer r.gate.leave()
	now, err := r.position(ctx)
	switch {
	case err != nil:
		return keys.Changes{}, err
	case since == keys.Position{}, since == now.Next:
		return now, nil
	case since.Generation != now.Next.Generation, since.Seq > now.Next.Seq, now.Next.Seq-since.Seq > maxChanges:
		now.Lost = true
	default:
		now, err = r.changes(ctx, since)
	}
	if now.Lost {
		r.batches.forget()
	}
	return now, err
}

// position is what Changes says where nothing changed.
func (r *Reader) position(ctx context.Context) (c keys.Changes, err error) {
	if err := r.changeSeq.QueryRowContext(ctx).Scan(&c.Next.Seq, &c.Next.Generation, &c.Imported); err != nil {
		return keys.Changes{}, unavailable("read change number", err)
	}
	c.Next.Generation += "/" + strconv.Itoa(r.incarnation)
	return c, nil
}

func (r *Reader) changes(ctx context.Context, since keys.Position) (keys.Changes, error) {
	rows, err := r.db.QueryContext(ctx, selectChanges, since.Seq, maxChanges+1)
	if err != nil {
		return keys.Changes{}, unavailable("read changes", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	c := keys.Changes{Next: since}
	var found int64
	var batch bool // became valid, or not: its keys are not told one by one
	seen := map[string]bool{}
	for rows.Next() {
		var id []byte
		var kind sql.NullString
		if err := rows.Scan(&c.Next.Seq, &id, &kind, &c.Imported); err != nil {
			return keys.Changes{}, unavailable("read changes", err)
		}
		if id == nil {
			continue // no event at all
		}
		found++
		batch = batch || strings.HasPrefix(kind.String, "batch.")
		if !seen[string(id)] {
			seen[string(id)] = true
			c.IDs = append(c.IDs, string(id))
		}
	}
	if err := rows.Err(); err != nil {
		return keys.Changes{}, unavailable("read changes", err)
	}
	if batch || found != c.Next.Seq-since.Seq {
		return keys.Changes{Next: c.Next, Lost: true, Imported: c.Imported}, nil
	}
	return c, nil
}

// follow makes sure that what is open is what stands at the path, and opens that
// otherwise: a database restored by renaming, an epoch file that was removed, a pepper
// file that was replaced.
func (r *Reader) follow(ctx context.Context) error {
	if err := r.gate.enter(); err != nil {
		return err
	}
	same := r.same() && r.samePeppers()
	r.gate.leave()
	if same {
		return nil
	}
	return r.gate.alone(func() error {
		if r.same() {
			r.renewPeppers(ctx)
			return nil
		}
		r.incarnation++
		return r.reopen(ctx)
	})
}

func (r *Reader) same() bool {
	file, err := identify(r.path)
	return err == nil && file == r.file && r.epoch.current()
}

func (r *Reader) reopen(ctx context.Context) error {
	file, err := identify(r.path)
	if err != nil {
		return fmt.Errorf("%w: the key store is gone from %s: %w", keys.ErrUnavailable, r.path, err)
	}
	if file != r.file {
		h, err := r.start(ctx)
		if err != nil {
			return fmt.Errorf("%w: another file has taken the key store's place: %w", keys.ErrUnavailable, err)
		}
		if err := r.db.Close(); err != nil {
			return errors.Join(unavailable("close the replaced key store", err), h.db.Close())
		}
		r.handle = h
	}
	if _, err := r.epoch.open(r.writable); err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	return nil
}

// identify returns the identity of the file that has the name now.
func identify(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	return identityOf(info)
}
