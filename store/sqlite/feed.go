package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

const (
	anyImported = `(EXISTS (SELECT 1 FROM secrets WHERE lookup IS NOT NULL) OR EXISTS (SELECT 1 FROM superseded WHERE lookup IS NOT NULL))`

	// One statement, so one state of the database: the number and the events
	// belong together, whatever is being written.
	// The first row is of the change at which the reader stands, if that is there.
	selectChanges = `SELECT m.value, e.seq, e.id, e.key_id, e.kind, ` + anyImported + ` FROM meta m
		LEFT JOIN events e ON e.seq >= ?1 AND e.seq <= m.value
		WHERE m.name = 'change_seq' ORDER BY e.seq LIMIT ?2`

	// maxChanges is how many events are told one by one. A reader that has missed more
	// forgets all that it knows, which is quicker than to look for so many ids.
	maxChanges = 10_000
)

// Epoch implements [feed.Feed]. See the type epoch.
func (r *Reader) Epoch() uint64 { return r.epoch.load() }

// Changes implements [feed.Feed]. A position is the number of an event in one
// incarnation of the database, with the id of that event. Lost means that events since then
// are missing, that the database is an older one than the position is from or has another
// event there, or that another file has taken the place of the database or of its epoch.
func (r *Reader) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	ctx = context.WithoutCancel(ctx)
	if err := r.follow(ctx); err != nil {
		return feed.Changes{}, err
	}
	if err := r.gate.enter(); err != nil {
		return feed.Changes{}, err
	}
	defer r.gate.leave()
	now, err := r.position(ctx)
	switch {
	case err != nil:
		return feed.Changes{}, err
	case since == feed.Position{}:
		r.batches.forget()
		return now, nil
	case since == now.Next:
		return now, nil
	case since.Generation != now.Next.Generation, since.Seq > now.Next.Seq, now.Next.Seq-since.Seq > maxChanges:
		now.Lost = true
	default:
		term := now.Next.Word >> seqBits
		now, err = r.changes(ctx, since)
		now.Next.Word = term<<seqBits | uint64(now.Next.Seq) //nolint:gosec // a number of the database is not negative
	}
	if now.Lost {
		r.batches.forget()
	}
	return now, err
}

// position is what Changes says where nothing changed. It looks whether the store is as
// mcpkeys left it, and what comes of that is a [feed.AlteredError]; and whether the
// database is the one of its epoch page, and not behind it.
func (r *Reader) position(ctx context.Context) (feed.Changes, error) {
	n, err := r.seeStand(func() (numbers, error) { return r.unaltered(ctx) })
	if err != nil {
		return feed.Changes{}, err
	}
	generation, _ := n.generation.(string)
	now, err := n.standing()
	if err != nil {
		return feed.Changes{}, err
	}
	return feed.Changes{
		Next: feed.Position{
			Generation: fmt.Sprintf("%s/%d.%d", generation, r.incarnation, r.watch.turns.Load()),
			Seq:        n.changeSeq(),
			Event:      hex.EncodeToString(n.eventID),
			Word:       now.word,
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

func (r *Reader) changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	rows, err := r.db.QueryContext(ctx, selectChanges, since.Seq, maxChanges+2)
	if err != nil {
		return feed.Changes{}, unavailable("read changes", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	t := telling{since: since, seen: map[string]bool{}, Changes: feed.Changes{Next: feed.Position{Generation: since.Generation}}}
	for rows.Next() {
		if err := t.hear(rows); err != nil {
			return feed.Changes{}, unavailable("read changes", err)
		}
	}
	if err := rows.Err(); err != nil {
		return feed.Changes{}, unavailable("read changes", err)
	}
	if t.gap() {
		return feed.Changes{Next: t.Next, Lost: true, Imported: t.Imported}, nil
	}
	return t.Changes, nil
}

// telling is what comes of the rows of selectChanges.
type telling struct {
	feed.Changes
	since feed.Position
	stood string          // the id of the event at since
	found int64           // events after it
	batch bool            // became valid, or not: its keys are not told one by one
	seen  map[string]bool // ids that were told
}

func (t *telling) hear(rows *sql.Rows) error {
	var seq sql.NullInt64
	var event, id []byte
	var kind sql.NullString
	if err := rows.Scan(&t.Next.Seq, &seq, &event, &id, &kind, &t.Imported); err != nil {
		return err
	}
	if seq.Valid && seq.Int64 == t.Next.Seq {
		t.Next.Event = hex.EncodeToString(event)
	}
	switch {
	case !seq.Valid: // no event at all
		return nil
	case seq.Int64 == t.since.Seq:
		t.stood = hex.EncodeToString(event)
		return nil
	}
	t.found++
	t.batch = t.batch || strings.HasPrefix(kind.String, "batch.")
	if !t.seen[string(id)] {
		t.seen[string(id)] = true
		t.IDs = append(t.IDs, string(id))
	}
	return nil
}

// gap reports whether what was heard is not all that happened since.
func (t *telling) gap() bool {
	return t.batch || t.stood != t.since.Event || t.found != t.Next.Seq-t.since.Seq
}

// follow makes sure that the open files are those at the path, and opens the new ones
// otherwise: a database restored by renaming, an epoch file that was removed, a pepper file
// that was replaced.
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

// reopen opens the database and epoch file at the path, if they are other files than the
// open ones, which it abandons. A replaced -wal or -shm cannot be opened again in this
// process.
func (r *Reader) reopen(ctx context.Context) error {
	if err := r.spot.check(); err != nil {
		r.epoch.distrust(err)
		if !r.spot.replaced() {
			return misplaced(err)
		}
		h, err := r.start(ctx)
		if err != nil {
			return misplaced(fmt.Errorf("%w: another file replaced the key store: %w", keys.ErrUnavailable, err))
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
