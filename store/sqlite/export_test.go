package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// What tests of this package see besides its API.

// JudgeFS exposes judgeFS.
var JudgeFS = judgeFS

// ChangeOf returns the number of the change that made the epoch this number.
func ChangeOf(epoch uint64) int64 { return int64(epoch % (1 << turnShift) >> randomBits) }

// LockImports exposes lockImports.
func LockImports(s *Store) (unlock func(), err error) { return s.lockImports() }

// Connections returns the pool that reads.
func (r *Reader) Connections() *sql.DB { return r.db }

// Writer returns the pool that writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// SetPatience sets how long a change waits for its turn.
func (s *Store) SetPatience(d time.Duration) { s.lock.patience = d }

// UsageWriter returns the pool that counts, nil before the first use.
func (r *Reader) UsageWriter() *sql.DB { return r.usage.db }

// KnowMadeUpStep decides whether this process knows a schema 2, which no mcpkeys ever
// had, so that the machinery of migrations can be tested.
func KnowMadeUpStep(yes bool) {
	steps = []string{schema1}
	if yes {
		steps = append(steps, "\nCREATE INDEX audit_made_up ON audit (key_id, at);\n")
	}
	schemaVersion = len(steps)
}

// Path returns where the key store is.
func (r *Reader) Path() string { return r.path }

// Plan returns how SQLite goes about a list, a line a step.
func (r *Reader) Plan(q keys.Query) ([]string, error) {
	var f filter
	if err := f.add(&q); err != nil {
		return nil, err
	}
	statement, args := f.page(1)
	rows, err := r.db.Query(`EXPLAIN QUERY PLAN `+statement, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}

// Visit lists a page over db with one more condition, which comes before those of q, and
// returns the cursor of the next page.
func (r *Reader) Visit(ctx context.Context, db *sql.DB, q keys.Query, condition string) (next string, err error) {
	var f filter
	f.and(condition)
	page, err := r.pageOf(ctx, db, &f, q)
	return page.Next, err
}

// Misfit reports whether a pepper file was read that could not be taken over.
func (r *Reader) Misfit() bool { return !r.misfit.at.IsZero() }

// Busy reports whether a transaction is running, or waits for its lock.
func (s *Store) Busy() bool {
	return len(s.lock.turn) > 0
}

// HolderIn returns who has the lock of the file, or of the one with its inode number on
// the device whose number is higher by so much.
func HolderIn(t testing.TB, locks []byte, path string, higher uint64) int {
	t.Helper()
	id, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	id.device += higher
	return holderIn(locks, id, "FLOCK", "")
}

// ClaimAndDisclaim is what an attempt to make a key store does to its pepper file that fails
// after it wrote the id there.
func ClaimAndDisclaim(one string) error {
	id := pepper.NewStoreID()
	return errors.Join(claim(one, id), disclaim(one, id))
}

// Inside reports whether a call is inside the gate.
func (r *Reader) Inside() bool {
	if !r.gate.mu.TryLock() {
		return true
	}
	r.gate.mu.Unlock()
	return false
}

// Renewing reports whether a store is open to renew digests with.
func (r *Reader) Renewing() bool {
	r.renewer.mu.Lock()
	defer r.renewer.mu.Unlock()
	return r.renewer.store != nil
}

// SlotNonce returns the nonce of a slot: 0 if it is free, 1 if it is closed.
func SlotNonce(t testing.TB, path string, i int) uint64 {
	t.Helper()
	p, err := share(epochPath(path), false)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := p.slot(i)
	return s.nonce
}

// FirstLook reads all slots once, as a change does.
func FirstLook(s *Store) {
	c := &committer{database: s.path, page: s.epoch.now.Load().page}
	c.first()
}

// SleepLong has readers that wait for the epoch look by themselves only after so long.
func (r *Reader) SleepLong(d time.Duration) { r.epoch.sleepers.atMost = d }

// Sleeps reports whether a goroutine sleeps until the epoch moves, or is about to.
func (r *Reader) Sleeps() bool { return r.epoch.sleepers.on.Load() != nil }

// Distrust has r take the epoch file for one that other processes do not use.
func (r *Reader) Distrust() { r.epoch.distrust(errCutShort) }
