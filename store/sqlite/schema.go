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
	"github.com/mcpkeys/mcpkeys/keys/pepper"
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
	metaTerm       = "generation_number" // of the generation; see position.go
	metaStoreID    = "store_id"
	metaEpochID    = "epoch_id"
	metaCreatedAt  = "created_at"
	metaPepper     = "pepper/" // + id

	metaPepperSince = "pepper_since/" // + id
)

// makeSchema fills an empty database in one transaction.
func makeSchema(ctx context.Context, db *sql.DB, peppers *pepper.Set, first standing, now time.Time) error {
	storeID := peppers.Store()
	return inTx(ctx, db, func(tx *sql.Tx) error {
		numbers := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
		if _, err := tx.ExecContext(ctx, numbers+schemaAt(schemaVersion)); err != nil {
			return unavailable("make schema", err)
		}
		for name, value := range map[string]any{
			metaChangeSeq:  int64(0),
			metaGeneration: uuid.NewString(),
			metaTerm:       int64(first.term()), //nolint:gosec // 16 bits
			metaStoreID:    storeID[:],
			metaEpochID:    first.id[:],
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

// compareSchema holds the database that db calls name against the text of a schema. It
// returns the first object that is not in it, or else how many are missing.
func compareSchema(ctx context.Context, db querier, name, schema string) (strange string, missing int, err error) {
	var text sql.NullString
	if err := db.QueryRowContext(ctx, `SELECT `+shapeHead+name+shapeTail).Scan(&text); err != nil {
		return "", 0, err
	}
	ours, err := objectsOf(ctx, schema)
	if err != nil {
		return "", 0, err
	}
	s, err := judgeShape(text.String, ours)
	if err != nil || len(s.strange) == 0 {
		return "", s.lacks(), err
	}
	return s.strange[0].label(), 0, nil
}
