package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	insertKeySQL = `INSERT INTO keys (id, kind, name, owner, owner_id, scopes, audience, allowed_ips, metadata,
			rate_count, rate_window, rate_burst, max_concurrent, max_key_life, quiet, created_at, created_by, batch,
			expires_at, disabled_at, revoked_at, revoked_reason, version, seal_format, seal_pepper, seal)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	updateKeySQL = `UPDATE keys SET kind = ?, name = ?, owner = ?, owner_id = ?, scopes = ?, audience = ?, allowed_ips = ?, metadata = ?,
			rate_count = ?, rate_window = ?, rate_burst = ?, max_concurrent = ?, max_key_life = ?, quiet = ?,
			created_at = ?, created_by = ?, batch = ?, expires_at = ?, disabled_at = ?, revoked_at = ?, revoked_reason = ?,
			version = ?, seal_format = ?, seal_pepper = ?, seal = ?
		WHERE id = ? AND version = ?`

	insertSecretSQL = `INSERT INTO secrets (scheme, pepper_id, digest, lookup, created_at, expires_at, key_id, number)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	updateSecretSQL = `UPDATE secrets SET scheme = ?, pepper_id = ?, digest = ?, lookup = ?, created_at = ?, expires_at = ?
		WHERE key_id = ? AND number = ?`
	deleteSecretSQL = `DELETE FROM secrets WHERE key_id = ? AND number = ?`
)

func insertKey(ctx context.Context, tx *sql.Tx, k *keys.Key) error {
	args := append([]any{[]byte(k.ID)}, values(k)...)
	return refusedKey("write key", exactlyOne(tx.ExecContext(ctx, insertKeySQL, args...)))
}

// updateKey writes after over the row of before, which is at version as it stands there.
func updateKey(ctx context.Context, tx *sql.Tx, version int64, before, after *keys.Key) error {
	if before.ID != after.ID || before.Kind != after.Kind || !before.CreatedAt.Equal(after.CreatedAt) || before.CreatedBy != after.CreatedBy {
		return errors.New("write key: a change must leave id, kind and creation as they are")
	}
	if !before.RevokedAt.IsZero() && after.RevokedAt.IsZero() {
		return errors.New("write key: a revocation is final")
	}
	args := append(values(after), []byte(before.ID), version)
	return refusedKey("write key", exactlyOne(tx.ExecContext(ctx, updateKeySQL, args...)))
}

// writeSecrets writes what differs: removals first, so that there are never three. The
// pepper of the seal is looked at once, with the seal.
func (s *Store) writeSecrets(ctx context.Context, w *work, id string, before, after []keys.KeySecret, seal string) error {
	if err := checkSecrets(before, after); err != nil {
		return err
	}
	old := byNumber(before)
	kept := byNumber(after)
	for _, one := range before {
		if kept[one.Number] == nil {
			if err := writeSecret(ctx, w.Tx, deleteSecretSQL, []byte(id), one.Number); err != nil {
				return err
			}
		}
	}
	for i := range after {
		one := &after[i]
		statement := insertSecretSQL
		if was := old[one.Number]; was != nil {
			if same(was, one) {
				continue
			}
			statement = updateSecretSQL
		}
		if one.PepperID != seal && (old[one.Number] == nil || old[one.Number].PepperID != one.PepperID) {
			if err := s.mayUse(ctx, w, one.PepperID); err != nil {
				return err
			}
		}
		err := writeSecret(ctx, w.Tx, statement, string(one.Scheme), one.PepperID, one.Digest, one.Lookup,
			micros(one.CreatedAt), maybeMicros(one.ExpiresAt), []byte(id), one.Number)
		if err != nil {
			return err
		}
	}
	return nil
}

func writeSecret(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	return unavailable("write secret", exactlyOne(tx.ExecContext(ctx, statement, args...)))
}

// checkSecrets wants them in the order in which they are read back, which the seal
// covers. A key that has lost its secrets to a database shell may stay without: it
// must still be possible to revoke it.
func checkSecrets(before, list []keys.KeySecret) error {
	if len(list) > 2 || (len(list) == 0 && len(before) != 0) {
		return fmt.Errorf("write key: it has %d secrets; one or two are possible", len(list))
	}
	if len(list) == 2 && list[0].Number >= list[1].Number {
		return errors.New("write key: its secrets must be in the order of their numbers")
	}
	return nil
}

func byNumber(list []keys.KeySecret) map[int64]*keys.KeySecret {
	out := make(map[int64]*keys.KeySecret, len(list))
	for i := range list {
		out[list[i].Number] = &list[i]
	}
	return out
}

func same(a, b *keys.KeySecret) bool {
	return a.Scheme == b.Scheme && a.PepperID == b.PepperID && bytes.Equal(a.Digest, b.Digest) &&
		bytes.Equal(a.Lookup, b.Lookup) && a.CreatedAt.Equal(b.CreatedAt) && a.ExpiresAt.Equal(b.ExpiresAt)
}

// secretsMoved is how many rows writeSecrets writes.
func secretsMoved(before, after []keys.KeySecret) (rows int) {
	old, kept := byNumber(before), byNumber(after)
	for number := range old {
		if kept[number] == nil {
			rows++
		}
	}
	for number, one := range kept {
		if was := old[number]; was == nil || !same(was, one) {
			rows++
		}
	}
	return rows
}
