package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// notePeppers writes the check value of every pepper that the database does not
// know yet.
func notePeppers(ctx context.Context, tx *sql.Tx, peppers *keys.Peppers) error {
	for id, check := range peppers.Checks() {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, metaPepper+id, check[:])
		if err != nil {
			return unavailable("note pepper", err)
		}
	}
	return nil
}

// checkPeppers makes sure that every pepper the database was used with is at hand.
// With a wrong one every caller would be refused, and every new key would be lost
// with the next restart.
func checkPeppers(ctx context.Context, db *sql.DB, peppers *keys.Peppers, file string) error {
	rows, err := db.QueryContext(ctx, `SELECT name, value FROM meta WHERE name GLOB ?`, metaPepper+"*")
	if err != nil {
		return unavailable("read peppers", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	have, known := peppers.Checks(), 0
	for rows.Next() {
		var name string
		var stored []byte
		if err := rows.Scan(&name, &stored); err != nil {
			return unavailable("read peppers", err)
		}
		id := strings.TrimPrefix(name, metaPepper)
		check, ok := have[id]
		switch {
		case !ok:
			return fmt.Errorf("pepper file %s does not hold pepper %s, with which keys of this database were made: restore the file from your backup", file, id)
		case !check.Equal(stored):
			return fmt.Errorf("pepper %s in %s is not the one that this database was made with: restore the file from your backup", id, file)
		}
		known++
	}
	if err := rows.Err(); err != nil {
		return unavailable("read peppers", err)
	}
	if known == 0 {
		return errors.New("the database names no pepper, so somebody edited it: restore a backup")
	}
	return nil
}
