package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// maxFound is how many ids FindImported returns: as many as may share a handle, under
// each of a few peppers.
const maxFound = 4 * keys.MaxPerHandle

// FindImported implements [store.Reader]. It uses an index on lookups that are not NULL, so
// it costs almost nothing if no key was imported.
func (r *Reader) FindImported(ctx context.Context, lookups [][]byte) ([]string, error) {
	return r.findByLookup(ctx, "secrets", lookups)
}

// FindSuperseded implements [store.Reader], with such an index of its own.
func (r *Reader) FindSuperseded(ctx context.Context, lookups [][]byte) ([]string, error) {
	return r.findByLookup(ctx, "superseded", lookups)
}

func (r *Reader) findByLookup(ctx context.Context, table string, lookups [][]byte) (ids []string, err error) {
	err = r.withPeppers(ctx, func() error {
		ids, err = r.ownersOf(ctx, table, lookups)
		return err
	})
	return ids, err
}

// ownersOf returns the ids of keys with rows in table that have one of the lookups.
func (r *Reader) ownersOf(ctx context.Context, table string, lookups [][]byte) (ids []string, err error) {
	if len(lookups) == 0 {
		return nil, nil
	}
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	args := make([]any, 0, len(lookups)+1)
	for _, l := range lookups {
		args = append(args, l)
	}
	marks := strings.Repeat(", ?", len(lookups))[2:]
	var found []foundKey
	err = answer(r.db.QueryContext(context.WithoutCancel(ctx), `SELECT DISTINCT k.id, k.batch FROM `+table+` s JOIN keys k ON k.id = s.key_id
		WHERE s.lookup IN (`+marks+`) AND `+finished+` ORDER BY k.id LIMIT ?`, append(args, maxFound)...)).each("find imported key", func(rows *sql.Rows) error {
		var one foundKey
		if err := rows.Scan(&one.id, &one.batch); err != nil {
			return err
		}
		found = append(found, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		shown, err := r.mayShow(ctx, r.db, one.batch)
		if err != nil {
			return nil, err
		}
		if shown {
			ids = append(ids, string(one.id))
		}
	}
	return ids, nil
}

type foundKey struct{ id, batch []byte }

// refuseTaken refuses new secrets that another key has, whatever became of that key, or had
// until a rotation ended them. It comes before anything is written.
func refuseTaken(ctx context.Context, tx *sql.Tx, secrets []keys.KeySecret) error {
	for i := range secrets {
		s := &secrets[i]
		if s.Lookup == nil {
			continue
		}
		var sharing, same int
		var ended, endedSame int
		err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(digest = ?1), 0),
			(SELECT count(*) FROM superseded WHERE lookup = ?2), (SELECT count(*) FROM superseded WHERE lookup = ?2 AND digest = ?1)
			FROM secrets WHERE lookup = ?2`, s.Digest, s.Lookup).Scan(&sharing, &same, &ended, &endedSame)
		switch {
		case err != nil:
			return unavailable("find imported key", err)
		case same+endedSame > 0, sharing+ended > 0 && !s.Scheme.Slow():
			return keys.ErrTokenTaken
		case sharing >= keys.MaxPerHandle:
			return keys.ErrHandleTaken
		}
	}
	return nil
}

// OldHash is a secret that is verified by what another system kept: it was not used
// since it was imported, or its token is too short for anything else.
type OldHash struct {
	KeyID  string
	Number int64
	Scheme keys.Scheme
}

// OldHashes returns secrets of unrevoked keys that are under the hash of another system,
// in the order of ids, at most limit, and how many there are. Doctor lists them.
func (r *Reader) OldHashes(ctx context.Context, limit int) (list []OldHash, total int, err error) {
	if err := r.gate.enter(); err != nil {
		return nil, 0, err
	}
	defer r.gate.leave()
	const from = ` FROM secrets s JOIN keys k ON k.id = s.key_id
		WHERE s.lookup IS NOT NULL AND s.scheme <> ? AND k.revoked_at IS NULL AND ` + finished
	if err := r.db.QueryRowContext(ctx, `SELECT count(*)`+from, string(keys.SchemeHMAC)).Scan(&total); err != nil {
		return nil, 0, unavailable("count old hashes", err)
	}
	err = answer(r.db.QueryContext(ctx, `SELECT s.key_id, s.number, s.scheme`+from+` ORDER BY s.key_id, s.number LIMIT ?`, string(keys.SchemeHMAC), limit)).each("list old hashes", func(rows *sql.Rows) error {
		var id []byte
		var one OldHash
		if err := rows.Scan(&id, &one.Number, &one.Scheme); err != nil {
			return err
		}
		one.KeyID = string(id)
		list = append(list, one)
		return nil
	})
	return list, total, err
}
