package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
)

// noter is the actor of a pepper that was in the file before the database knew it: the file
// was edited by hand, or adding it was interrupted.
const noter audit.Actor = "mcpkeys:store"

// notePepper writes the check value of a pepper that the database may not know yet,
// and since when it does.
func notePepper(ctx context.Context, tx *sql.Tx, id string, check pepper.Digest, now time.Time) error {
	for name, value := range map[string]any{metaPepper + id: check[:], metaPepperSince + id: micros(now)} {
		if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, value); err != nil {
			return unavailable("note pepper", err)
		}
	}
	return nil
}

// checkPeppers makes sure that the file has every pepper that the database was used with.
// With a wrong one every caller would be refused, and every new key would be lost with the
// next restart. Peppers of the file that the database does not know are ignored: nothing was
// made with them.
func checkPeppers(ctx context.Context, db *sql.DB, peppers *pepper.Set, file string) error {
	noted, err := notedPeppers(ctx, db)
	if err != nil {
		return err
	}
	have := peppers.Checks()
	for id, stored := range noted {
		check, ok := have[id]
		switch {
		case !ok:
			return fmt.Errorf("pepper file %s lacks pepper %s, with which keys of this database were made; restore the file from a backup that was made after 'keyctl pepper add' added it", file, id)
		case !check.Equal(stored):
			return fmt.Errorf("pepper %s in %s is not the one that this database was made with; restore the file from your backup", id, file)
		}
	}
	if len(noted) == 0 {
		return errors.New("the database names no pepper, so it was changed outside mcpkeys; restore a backup")
	}
	return checkStore(ctx, db, peppers, file)
}

// checkStore makes sure that the peppers are those of this very store. Two stores under one
// pepper would each believe the rows of the other.
func checkStore(ctx context.Context, db querier, peppers *pepper.Set, file string) error {
	id, err := storeOf(ctx, db)
	switch {
	case err != nil:
		return err
	case peppers.Store().IsZero():
		return fmt.Errorf("pepper file %s does not say which key store it is for; if it is for this database, add this line to it: store %s", file, id)
	case peppers.Store() != id:
		return fmt.Errorf("pepper file %s is for another key store (%s) than this database (%s); name the right pepper file, or restore it from a backup", file, peppers.Store(), id)
	}
	return nil
}

// notedPeppers returns the check values that the database holds, by pepper id.
func notedPeppers(ctx context.Context, db querier) (map[string][]byte, error) {
	noted := map[string][]byte{}
	err := answer(db.QueryContext(ctx, `SELECT name, value FROM meta WHERE name GLOB ?`, metaPepper+"*")).each("read peppers", func(rows *sql.Rows) error {
		var name string
		var stored []byte
		if err := rows.Scan(&name, &stored); err != nil {
			return err
		}
		noted[strings.TrimPrefix(name, metaPepper)] = stored
		return nil
	})
	return noted, err
}

// mayUse refuses to write with a pepper that the database does not know, because it was just
// retired: without it in the file the key could not be verified. Only the file's current
// pepper may be used before it is noted, and using it notes it. The file is read inside the
// transaction, for which the retiring of a pepper waits.
func (s *Store) mayUse(ctx context.Context, w *work, id string) error {
	var noted bool
	if err := w.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM meta WHERE name = ?)`, metaPepper+id).Scan(&noted); err != nil {
		return unavailable("read peppers", err)
	}
	if noted {
		return nil
	}
	peppers, err := pepperfile.Load(s.pepperFile)
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	if peppers.Current() != id {
		return keys.ErrPepperRetired
	}
	now := time.Now() //nolint:forbidigo // a note for people, nothing is decided by it
	e, err := audit.NewEvent(ctx, noter, audit.ActionPepperAdd, now, audit.PepperDetail{Pepper: id})
	if err != nil {
		return err
	}
	if err := notePepper(ctx, w.Tx, id, peppers.Checks()[id], now); err != nil {
		return err
	}
	return w.appendAny(ctx, "", e) // also where a key is revoked in spite of what is not ours
}
