package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/keys"
)

//go:embed schema.sql
var schema string

// The numbers in the file's header by which a database is recognised.
const (
	applicationID = 0x6d63706b // "mcpk"
	schemaVersion = 1
)

// Rows of the table meta.
const (
	metaChangeSeq  = "change_seq"
	metaGeneration = "generation"
	metaCreatedAt  = "created_at"
	metaPepper     = "pepper/" // + id
)

// makeSchema fills an empty database in one transaction.
func makeSchema(ctx context.Context, db *sql.DB, peppers *keys.Peppers, now time.Time) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		numbers := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
		if _, err := tx.ExecContext(ctx, numbers+schema); err != nil {
			return unavailable("make schema", err)
		}
		for name, value := range map[string]any{
			metaChangeSeq:  int64(0),
			metaGeneration: uuid.NewString(),
			metaCreatedAt:  micros(now),
		} {
			if err := insertMeta(ctx, tx, name, value); err != nil {
				return err
			}
		}
		return notePeppers(ctx, tx, peppers)
	})
}

func insertMeta(ctx context.Context, tx *sql.Tx, name string, value any) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES (?, ?)`, name, value)
	return unavailable("write meta", err)
}
