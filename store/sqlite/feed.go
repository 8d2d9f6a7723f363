package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	anyImported = `(EXISTS (SELECT 1 FROM secrets WHERE lookup IS NOT NULL) OR EXISTS (SELECT 1 FROM superseded WHERE lookup IS NOT NULL))`

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
	case since == keys.Position{}:
		r.batches.forget()
		return now, nil
	case since == now.Next:
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

// position is what Changes says where nothing changed. It looks whether the store is as
// mcpkeys left it, and what comes of that is a [keys.AlteredError]; and whether the
// database is the one of its epoch page, and not behind it.
func (r *Reader) position(ctx context.Context) (keys.Changes, error) {
	n, err := r.seeStand(func() (numbers, error) { return r.unaltered(ctx) })
	if err != nil {
		return keys.Changes{}, err
	}
	generation, _ := n.generation.(string)
	return keys.Changes{
		Next: keys.Position{
			Generation: fmt.Sprintf("%s/%d.%d", generation, r.incarnation, r.watch.turns.Load()),
			Seq:        n.changeSeq(),
		},
		Imported: n.imported,
	}, nil
}

// unaltered reads the numbers of a store that is as mcpkeys left it.
func (r *Reader) unaltered(ctx context.Context) (numbers, error) {
	n, err := readNumbers(r.numbers.QueryRowContext(ctx))
	if err == nil {
		err = r.compare(ctx, n.shape)
	}
	if err == nil {
		err = n.altered(r.Peppers().Store())
	}
	return n, err
}

// compare holds the shape that was just read against the one that was judged last, and
// judges it if it is another one.
func (r *Reader) compare(ctx context.Context, text string) error {
	if r.watch.stale(text) {
		s, err := shapeNow(ctx, r.db)
		if err != nil {
			return err
		}
		r.watch.see(s)
	}
	return r.watch.altered()
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

func (r *Reader) same() bool { return r.spot.check() == nil && r.epoch.current() }

// reopen opens what stands at the path, if that is another database or another epoch
// file. What was open is abandoned. Files that SQLite keeps to itself in this process
// cannot be opened again.
func (r *Reader) reopen(ctx context.Context) error {
	if err := r.spot.check(); err != nil {
		r.epoch.distrust(err)
		if !r.spot.replaced() {
			return err
		}
		h, err := r.start(ctx)
		if err != nil {
			return fmt.Errorf("%w: another file has taken the key store's place: %w", keys.ErrUnavailable, err)
		}
		abandon(r.db)
		r.handle = h
		r.seen.Store(0)
	}
	r.epoch.open(r.writable)
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
