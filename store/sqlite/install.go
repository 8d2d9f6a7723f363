package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// A restore prepares the new key store completely, in a file that no other process has open,
// and then writes it over the old one. So errors occur before anything is changed, and the
// last step is one transaction.

// finish turns the draft, a copy of the backup, into the new key store, and returns how many
// keys it revoked and disabled in it.
func (r *Restoration) finish(ctx context.Context, draft string, present *Snapshot, undone Undone, missing Missing, o RestoreOptions) (int, error) {
	e, err := r.event(ctx, present, undone, missing, o)
	if err != nil {
		return 0, err
	}
	err = fillWith(draft, func(db *sql.DB) error {
		if err := advance(ctx, db, r.Backup.Path); err != nil {
			return err
		}
		return inTx(ctx, db, func(tx *sql.Tx) error {
			if present != nil {
				if err := carryDone(ctx, tx, present.Path); err != nil {
					return err
				}
			}
			return r.renew(ctx, tx, present, e)
		})
	})
	if err != nil {
		return 0, err
	}
	cut := 0
	if !o.UndoRevocations {
		if cut, err = r.cutAgain(ctx, draft, undone, o); err != nil {
			return 0, err
		}
	}
	if err := standAlone(ctx, draft); err != nil {
		return 0, err
	}
	_, err = examine(ctx, draft, "the restored key store")
	return cut, err
}

// event is the audit row of the restore.
func (r *Restoration) event(ctx context.Context, present *Snapshot, undone Undone, missing Missing, o RestoreOptions) (audit.Event, error) {
	detail := map[string]any{
		"backup_row": r.Backup.Newest.Seq, "backup_row_hash": hex.EncodeToString(r.Backup.Newest.Hash),
		"revocations_undone": o.UndoRevocations && len(undone.Revoked)+len(undone.Disabled) > 0,
		"missing_changes":    missing.noted(),
	}
	if present != nil {
		detail["replaced_row"], detail["replaced_row_hash"] = present.Newest.Seq, hex.EncodeToString(present.Newest.Hash)
	}
	return audit.NewEvent(ctx, o.Actor, audit.ActionRestore, o.Now(), detail)
}

// renew makes sure that no process confuses the new key store with the old one: it gets
// another generation, and its change numbers continue above those of both. A present number
// above half of the range is ignored: no store gets that far, and continuing from it would
// soon be refused.
func (r *Restoration) renew(ctx context.Context, tx *sql.Tx, present *Snapshot, e audit.Event) error {
	seq := r.Backup.changeSeq
	if present != nil && present.changeSeq < mostSeq/2 {
		seq = max(seq, present.changeSeq)
	}
	if err := setMeta(ctx, tx, metaChangeSeq, seq+1); err != nil {
		return err
	}
	if err := renewID(ctx, tx, r.path); err != nil {
		return err
	}
	for id, check := range r.peppers.Checks() { // also the ones added since, which are in use
		if err := notePepper(ctx, tx, id, check, e.At); err != nil {
			return err
		}
	}
	_, err := appendEvent(ctx, tx, "", e)
	return err
}

// cutAgain revokes and disables in the draft what is revoked and disabled in the present
// key store, through a normal [Store].
func (r *Restoration) cutAgain(ctx context.Context, draft string, undone Undone, o RestoreOptions) (int, error) {
	if len(undone.Revoked)+len(undone.Disabled) == 0 {
		return 0, nil
	}
	now, err := standingOf(ctx, draft)
	if err == nil {
		err = makeEpoch(epochPath(draft), now, true)
	}
	if err != nil {
		return 0, err
	}
	s, err := Open(draft, &Options{PepperFile: r.options.pepperFile(r.path), UsageFile: draft + ".usage"}) //nolint:contextcheck // to open takes no context
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, func(ctx context.Context, w *work) error {
		m, err := admin.NewLocal(inOne{s, w}, o.Actor, &admin.Options{Now: o.Now})
		if err != nil {
			return err
		}
		for _, k := range undone.Revoked {
			if err := revokeAgain(ctx, m, k); err != nil {
				return err
			}
		}
		for _, k := range undone.Disabled {
			if err := disableAgain(ctx, m, k); err != nil {
				return err
			}
		}
		return nil
	})
	return len(undone.Revoked) + len(undone.Disabled), errors.Join(err, s.Close())
}

// inOne is a store whose updates are all made in one transaction, which is not committed
// here. No other process knows the store yet.
type inOne struct {
	*Store
	work *work
}

// Update implements [store.Store].
func (s inOne) Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error) {
	unchanged, _, err := s.update(ctx, s.work, id, change)
	if errors.Is(err, keys.ErrNoChange) {
		return unchanged, nil
	}
	if err != nil {
		return nil, err
	}
	rec, err := one(s.work.QueryContext(ctx, selectKey, []byte(id)))
	if err != nil {
		return nil, err
	}
	return rec.key()
}

func revokeAgain(ctx context.Context, m admin.Manager, k *keys.Key) error {
	reason := k.RevokedReason
	if keys.ValidateText("reason", reason) != nil {
		reason = "revoked before a restore"
	}
	_, err := m.Revoke(ctx, k.ID, reason)
	if err != nil && !errors.Is(err, keys.ErrNotFound) { // an import that was not finished in the backup is not valid
		return fmt.Errorf("revoke %s again: %w", k.ID, err)
	}
	return nil
}

// disableAgain skips a row that was changed outside mcpkeys: no server accepts that key.
func disableAgain(ctx context.Context, m admin.Manager, k *keys.Key) error {
	_, err := m.Disable(ctx, k.ID, "disabled before a restore")
	if err != nil && !errors.Is(err, keys.ErrTampered) && !errors.Is(err, keys.ErrNotFound) {
		return fmt.Errorf("disable %s again: %w", k.ID, err)
	}
	return nil
}

// errChanged makes a restore start again.
var errChanged = errors.New("keys were changed during the restore")

// install writes the draft over the key store in one transaction. Under the write lock it
// first makes sure that nothing was changed since the present state was read: a revocation
// that was acknowledged in between must not be lost.
func (r *Restoration) install(ctx context.Context, draft string, present *Snapshot, progress Progress) error {
	next, err := standingOf(ctx, draft)
	if err != nil {
		return err
	}
	at, err := newSpot(r.path, r.path)
	if err != nil {
		return err
	}
	db := openAt(at, writerDSN(r.path), 1)
	target, err := db.Conn(ctx)
	if err != nil {
		return unopened(r.path, errors.Join(err, db.Close()))
	}
	defer func() {
		if at.check() != nil {
			abandon(db)
			return
		}
		_ = errors.Join(target.Close(), db.Close()) // it is committed, or was rolled back
	}()
	source, closeSource, err := only(ctx, readerDSN(draft))
	if err != nil {
		return unavailable("open draft", err)
	}
	defer func() { _ = closeSource() }() // it was only read
	back := func() {}
	err = transferring(target, source, func(t transfer) error {
		if _, err := t.step(0); err != nil {
			return unavailable("lock "+r.path, err)
		}
		if err := r.unchanged(ctx, present); err != nil {
			return err
		}
		if err := at.check(); err != nil {
			return err
		}
		if back, err = withdraw(r.path); err != nil {
			return err
		}
		return t.all(ctx, progress)
	})
	if err != nil {
		back()
		return err
	}
	if err := at.check(); err != nil {
		return &store.MayBeLostError{Cause: err}
	}
	if err := instate(ctx, r.path, next); err != nil {
		return unfinished(err)
	}
	_, _ = target.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`) // or the next change will
	return nil
}

func (r *Restoration) unchanged(ctx context.Context, present *Snapshot) error {
	if present == nil {
		return nil
	}
	now, err := look(ctx, r.path)
	if err == nil && !now.same(present) {
		err = errChanged
	}
	return err
}

// put gives the draft its place where there is no key store, with what belongs to one.
func (r *Restoration) put(ctx context.Context, draft string) error {
	if err := makeUsage(r.options.usageFile(r.path), r.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// It goes there in WAL mode: one that is not would come with a rollback journal.
	if err := fillWith(draft, func(db *sql.DB) error { return db.PingContext(ctx) }); err != nil {
		return err
	}
	next, err := standingOf(ctx, draft)
	if err != nil {
		return err
	}
	err = putInPlace(r.path, draft, next, false)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another program made %s during the restore; look at that file, and try again: %w", r.path, fs.ErrExist)
	}
	if err != nil {
		return err
	}
	if err := instate(ctx, r.path, next); err != nil {
		return unfinished(err)
	}
	return nil
}

// unfinished says that a restore was committed, but that no process accepts it yet, or that
// guards on other hosts may not know yet.
func unfinished(cause error) error {
	if isWritten(cause) {
		return cause
	}
	return &store.WrittenError{What: "the restored key store is refused until 'keyctl doctor --fix' is run", Cause: cause}
}

// isWritten reports whether the restore was committed, to whatever file.
func isWritten(err error) bool {
	var written *store.WrittenError
	var lost *store.MayBeLostError
	return errors.As(err, &written) || errors.As(err, &lost)
}
