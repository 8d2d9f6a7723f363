package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
)

// A pepper is added to the file first, and then noted in the database; it is removed from
// the database first, and then from the file. So if the machine stops in between, the file
// has every pepper that the database names, and the store opens. Repeating the command
// completes the change.

var _ store.PepperKeeper = (*Store)(nil)

// AddPepper implements [store.PepperKeeper]. Other processes use the new pepper from the next
// request that they check, or, if they check none, at the latest from their second change.
func (s *Store) AddPepper(ctx context.Context, tells func(id string) (audit.Event, error)) (string, error) {
	peppers, err := pepperfile.Replace(s.pepperFile, func(old *pepper.Set) (*pepper.Set, error) {
		unnoted, err := s.unnoted(ctx, old)
		if err != nil || unnoted {
			return old, err
		}
		more, _, err := old.Add()
		return more, err
	})
	if err != nil {
		return "", err
	}
	id := peppers.Current()
	return id, s.write(ctx, func(ctx context.Context, w *work) error {
		e, err := tells(id)
		if err != nil {
			return err
		}
		now := time.Now() //nolint:forbidigo // a note for people, nothing is decided by it
		if err := notePepper(ctx, w.Tx, id, peppers.Checks()[id], now); err != nil {
			return err
		}
		return w.append(ctx, "", e)
	})
}

// unnoted reports whether the database does not know the file's current pepper yet. It
// refuses a file that does not belong to the database.
func (s *Store) unnoted(ctx context.Context, file *pepper.Set) (bool, error) {
	if err := s.gate.enter(); err != nil {
		return false, err
	}
	defer s.gate.leave()
	if err := checkPeppers(ctx, s.db, file, s.pepperFile); err != nil {
		return false, err
	}
	noted, err := notedPeppers(ctx, s.db)
	return noted[file.Current()] == nil, err
}

// resealMost is how many keys are sealed again in one transaction, for which other writers
// wait.
const resealMost = 200

// Reseal implements [store.PepperKeeper]. 100,000 keys took 12 s on two busy cores.
func (s *Store) Reseal(ctx context.Context, id string, tells func(audit.Resealed) (audit.Event, error)) (int, error) {
	total, after := 0, []byte{}
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		var batch resealing
		err := s.write(ctx, func(ctx context.Context, w *work) (err error) {
			batch, err = s.reseal(ctx, w, id, after, tells)
			return err
		})
		if err != nil {
			return total, err
		}
		total += batch.Keys
		if batch.looked < resealMost {
			return total, nil
		}
		after = batch.last
	}
}

// resealing is one batch.
type resealing struct {
	audit.Resealed
	looked int
	last   []byte // id that was looked at
}

func (s *Store) reseal(ctx context.Context, w *work, pepperID string, after []byte, tells func(audit.Resealed) (audit.Event, error)) (resealing, error) {
	peppers := s.Peppers()
	batch := resealing{Resealed: audit.Resealed{From: pepperID, To: peppers.Current()}}
	rows, err := w.QueryContext(ctx, `SELECT `+keyColumns+`, `+secretColumns+`
		FROM (SELECT id FROM keys WHERE id > ? AND seal_pepper = ? ORDER BY id LIMIT ?) some
		CROSS JOIN keys k ON k.id = some.id
		LEFT JOIN secrets s ON s.key_id = k.id
		ORDER BY k.id, s.number`, after, pepperID, resealMost)
	if err != nil {
		return batch, unavailable("reseal", err)
	}
	found, err := scanRecords(rows)
	if err != nil {
		return batch, unavailable("reseal", err)
	}
	for _, rec := range found {
		batch.looked, batch.last = batch.looked+1, rec.id
		k, err := rec.key()
		if err != nil || !peppers.Reseal(k) {
			continue
		}
		if err := exactlyOne(w.ExecContext(ctx, `UPDATE keys SET seal_pepper = ?, seal = ? WHERE id = ?`, k.Seal.PepperID, k.Seal.MAC, rec.id)); err != nil {
			return batch, unavailable("reseal", err)
		}
		w.moved(k.ID, 1)
		w.wrote(k, false)
		if batch.Keys++; batch.First == "" {
			batch.First = k.ID
		}
		batch.Last = k.ID
	}
	if batch.Keys == 0 {
		return batch, nil
	}
	e, err := tells(batch.Resealed)
	if err != nil {
		return batch, err
	}
	if err := s.mayUse(ctx, w, peppers.Current()); err != nil {
		return batch, err
	}
	return batch, w.append(ctx, "", e)
}

// RemovePepper implements [store.PepperKeeper]. From its commit on nothing made with the
// pepper can be written: see mayUse.
func (s *Store) RemovePepper(ctx context.Context, id string, now time.Time, e audit.Event) error {
	if err := s.removable(id); err != nil {
		return err
	}
	err := s.write(ctx, func(ctx context.Context, w *work) error {
		w.takesAway = true
		return s.forgetPepper(ctx, w, id, now, e)
	})
	if err != nil {
		return err
	}
	_, err = pepperfile.Replace(s.pepperFile, func(old *pepper.Set) (*pepper.Set, error) {
		if !old.Has(id) { // another process has retired it too
			return old, nil
		}
		if err := s.stillForgotten(ctx, id); err != nil {
			return nil, err
		}
		return old.Remove(id)
	})
	if err != nil {
		return &store.WrittenError{What: "pepper " + id + " is still in its file; retire it again", Cause: err}
	}
	return s.followPeppers(ctx)
}

// stillForgotten checks again before the file loses a pepper: a restore may have replaced
// this database with one that needs it.
func (s *Store) stillForgotten(ctx context.Context, id string) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	noted, err := notedPeppers(ctx, s.db)
	if err != nil {
		return err
	}
	if _, again := noted[id]; again {
		return keys.Conflict("the key store was restored during this change; try again")
	}
	return nil
}

// removable asks the file as it is: what is in memory may be an older one.
func (s *Store) removable(id string) error {
	file, err := pepperfile.Load(s.pepperFile)
	if err != nil {
		return err
	}
	_, err = file.Remove(id)
	return err
}

func (s *Store) forgetPepper(ctx context.Context, w *work, id string, now time.Time, e audit.Event) error {
	if s.Peppers().Current() == id { // the file has another one, which could not be read
		return fmt.Errorf("%w: the pepper file %s does not belong to the database; run 'keyctl doctor'", keys.ErrUnavailable, s.pepperFile)
	}
	first, count, err := needPepper(ctx, w.Tx, id, now, store.FirstNeeding)
	if err != nil {
		return err
	}
	if count > 0 {
		return &store.PepperNeededError{ID: id, Count: count, Keys: first}
	}
	for after := []byte{}; ; { // what others wrote since all were resealed: few
		batch, err := s.reseal(ctx, w, id, after, func(r audit.Resealed) (audit.Event, error) {
			return audit.NewEvent(ctx, audit.Actor(e.Actor), audit.ActionPepperReseal, e.At, r)
		})
		if err != nil {
			return err
		}
		if batch.looked < resealMost {
			break
		}
		after = batch.last
	}
	if err := s.resealBatches(ctx, w, id); err != nil {
		return err
	}
	if _, err := w.ExecContext(ctx, `DELETE FROM superseded WHERE pepper_id = ?`, id); err != nil {
		return unavailable("forget pepper", err)
	}
	if _, err := w.ExecContext(ctx, `DELETE FROM meta WHERE name IN (?, ?)`, metaPepper+id, metaPepperSince+id); err != nil {
		return unavailable("forget pepper", err)
	}
	return w.append(ctx, "", e)
}
