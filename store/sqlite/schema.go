package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/keys"
)

//go:embed schema.sql
var schema1 string

// steps make the first version of the schema, and each further version from the one
// before it. A step that was released never changes again.
var steps = []string{schema1}

// The numbers in the file's header by which a database is recognised.
const applicationID = 0x6d63706b // "mcpk"

var schemaVersion = len(steps)

// Rows of the table meta.
const (
	metaChangeSeq  = "change_seq"
	metaGeneration = "generation"
	metaStoreID    = "store_id"
	metaEpochID    = "epoch_id"
	metaCreatedAt  = "created_at"
	metaPepper     = "pepper/" // + id

	metaPepperSince = "pepper_since/" // + id
)

// makeSchema fills an empty database in one transaction.
func makeSchema(ctx context.Context, db *sql.DB, peppers *keys.Peppers, now time.Time) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		numbers := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
		if _, err := tx.ExecContext(ctx, numbers+schemaAt(schemaVersion)); err != nil {
			return unavailable("make schema", err)
		}
		for name, value := range map[string]any{
			metaChangeSeq:  int64(0),
			metaGeneration: uuid.NewString(),
			metaStoreID:    randomID(),
			metaEpochID:    randomID(),
			metaCreatedAt:  micros(now),
		} {
			if err := insertMeta(ctx, tx, name, value); err != nil {
				return err
			}
		}
		return notePepper(ctx, tx, peppers.Current(), peppers.Checks()[peppers.Current()], now)
	})
}

// randomID returns 16 random bytes.
func randomID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return id
}

func insertMeta(ctx context.Context, tx *sql.Tx, name string, value any) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES (?, ?)`, name, value)
	return unavailable("write meta", err)
}

// schemaAt is the text of every object of a version, as it was executed.
func schemaAt(version int) string { return strings.Join(steps[:version], "") }

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ownSchema refuses a database with a table, index, view or trigger that is not in
// the schema of its version, or without one that is. A trigger needs no pepper to undo a revocation
// as it is written, and a view none to hide it. SQLite keeps the text of each
// statement as it was given, so it is found in ours, word for word.
func ownSchema(ctx context.Context, db querier, version int, path string) error {
	strange, missing, err := compareSchema(ctx, db, "main", schemaAt(version))
	switch {
	case err != nil:
		return unopened(path, err)
	case strange != "":
		return fmt.Errorf("%s holds the %s, which mcpkeys did not make: find out who did, drop it or restore a backup, and read the audit log", path, strange)
	case missing > 0:
		return fmt.Errorf("%s lacks %d of its tables, indexes and triggers: restore a backup, and read the audit log", path, missing)
	}
	return nil
}

// compareSchema holds the database that db calls name against the text of a schema. It
// returns the first object that is not in it, or else how many are missing.
func compareSchema(ctx context.Context, db querier, name, schema string) (strange string, missing int, err error) {
	rows, err := db.QueryContext(ctx, `SELECT type, name, sql FROM `+name+`.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	found := 0
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return "", 0, err
		}
		if !strings.Contains(schema, "\n"+text+";") {
			return fmt.Sprintf("%s %q", kind, name), 0, nil
		}
		found++
	}
	return "", strings.Count(schema, "\nCREATE ") - found, rows.Err()
}
