package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// usageFile is a separate database with usage counts, beside the key store. So writing
// counts and changing keys never wait for each other, and a program that may not write keys
// can count (docs/adr/0005). If it fails, keys are still checked and revoked.
type usageFile struct {
	path     string
	database string // beside which it counts
	now      func() time.Time
	lock     *fairLock
	gate     gate // callers inside may read, or write under mu

	mu   sync.Mutex // one flush at a time, and guards what follows
	db   *sql.DB    // writes; nil until something is to be written
	file fileID     // what db has open
}

// AddUse implements [store.UseLog], also for a handle that cannot write keys. It makes
// the file if it is missing. Once begun it ignores a cancelled ctx, so that the caller knows
// whether the counts were added.
func (r *Reader) AddUse(ctx context.Context, uses []usage.Use) error {
	if err := r.usage.gate.enter(); err != nil {
		return err
	}
	defer r.usage.gate.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write usage counts: %w", err)
	}
	if len(uses) == 0 {
		return nil
	}
	return r.usage.write(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error { return addUses(ctx, tx, uses, r.usage.now()) })
}

// write does do in a transaction of the file, which is made if it is missing.
func (u *usageFile) write(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.ready(ctx); err != nil {
		return err
	}
	return u.explain(u.lock.inTurn(ctx, u.db, func(tx *sql.Tx) error { return do(ctx, tx) }))
}

// ready makes sure that the file at the path is open for writing: it creates a removed file
// again, and opens a file that replaced it.
func (u *usageFile) ready(ctx context.Context) error {
	file, err := identify(u.path)
	if err == nil && u.db != nil && file == u.file {
		return nil
	}
	if err := u.letGo(); err != nil {
		return u.explain(unavailable("close", err))
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeUsage(u.path, u.database); err != nil && !errors.Is(err, fs.ErrExist) {
			return unknown(err, "make usage file %s: %v", u.path, err)
		}
		file, err = identify(u.path)
	}
	if err != nil {
		return unknown(err, "open usage file: %v", err)
	}
	if err := u.check(ctx); err != nil { // before it is opened for writing: it may be another program's file
		return err
	}
	u.file, u.db = file, openConns(usageWriterDSN(u.path), 1, false)
	return nil
}

func (u *usageFile) letGo() error {
	if u.db == nil {
		return nil
	}
	db := u.db
	u.db = nil
	return db.Close()
}

// close waits for running calls.
func (u *usageFile) close() error {
	if !u.gate.shut() {
		return nil
	}
	u.lock.close()
	return u.letGo()
}

// most is what a count stops at: one more would be a floating-point number to SQLite,
// which the column refuses, and every flush with it.
const most = "9000000000000000000"

const upsertLast = `INSERT INTO last_used (key_id, secret, at, client_ip, agent) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET at = excluded.at, client_ip = excluded.client_ip, agent = excluded.agent
	WHERE excluded.at > at`

// addUses adds uses up to now. A use in the future, from a process with a wrong clock,
// counts as now: a use in 2099 would otherwise remain the last use permanently. What is old
// goes by now too, and never by the times of uses.
func addUses(ctx context.Context, tx *sql.Tx, uses []usage.Use, now time.Time) error {
	last, err := tx.PrepareContext(ctx, upsertLast)
	if err != nil {
		return unavailable("note last use", err)
	}
	counts := tally{tx: tx}
	counts.kept, _ = dayOf(now.Add(-usage.DaysKept))
	for _, u := range uses {
		id := []byte(u.KeyID)
		for _, c := range u.Counts {
			c.Hour = earlier(c.Hour, now)
			if err := counts.add(ctx, id, &c); err != nil {
				return unavailable("count use", err)
			}
		}
		for _, l := range u.Last {
			if _, err := last.ExecContext(ctx, id, l.Secret, micros(earlier(l.At, now)), addrText(l.ClientIP), l.Agent); err != nil {
				return unavailable("note last use", err)
			}
		}
	}
	return unavailable("sum up old counts", rollUp(ctx, tx, now))
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
