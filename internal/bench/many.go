package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// shown is how many of the many keys are asked for, in turn.
const shown = 200_000

// makeMany makes a key store of size sealed keys at path, and returns the tokens of
// some of them, spread over all.
func makeMany(ctx context.Context, path string, size int) ([]string, error) {
	if err := sqlite.Create(path, nil); err != nil {
		return nil, err
	}
	peppers, err := pepperfile.Load(path + ".pepper")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?_synchronous=OFF&_journal_mode=WAL&_cache_size=-262144")
	if err != nil {
		return nil, err
	}
	tokens, err := fillMany(ctx, db, peppers, size)
	return tokens, errors.Join(err, db.Close())
}

func fillMany(ctx context.Context, db *sql.DB, peppers *keys.Peppers, size int) ([]string, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	key, err := tx.PrepareContext(ctx, `INSERT INTO keys (id, kind, name, owner, scopes, audience, allowed_ips, metadata, rate_count, rate_window, rate_burst,
		max_concurrent, max_key_life, quiet, created_at, created_by, expires_at, revoked_reason, version, seal_format, seal_pepper, seal)
		VALUES (?, ?, ?, ?, '["tools:get_*","tools:search","prompts:*"]', '["weather"]', '[]', '{}', ?, ?, ?, 0, 0, 0, ?, ?, ?, '', 1, ?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	secret, err := tx.PrepareContext(ctx, `INSERT INTO secrets (key_id, number, scheme, pepper_id, digest, lookup, created_at, expires_at)
		VALUES (?, 1, ?, ?, ?, NULL, ?, NULL)`)
	if err != nil {
		return nil, err
	}
	var tokens []string
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := range size {
		token := keys.NewToken(keys.KindKey)
		digest, pepperID := peppers.Digest(token.Secret())
		at := now.Add(time.Duration(i-size) * time.Millisecond)
		k := &keys.Key{
			ID: token.ID(), Kind: keys.KindKey, Name: fmt.Sprintf("key-%d", i), Owner: "bench",
			Scopes: []string{"tools:get_*", "tools:search", "prompts:*"}, Audience: []string{audience},
			RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
			CreatedAt: at, CreatedBy: "bench", ExpiresAt: at.Add(90 * 24 * time.Hour), Version: 1,
			Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: at}},
		}
		peppers.Seal(k)
		_, err := key.ExecContext(ctx, []byte(k.ID), string(k.Kind), k.Name, k.Owner, k.RateLimit.Count, int64(k.RateLimit.Window), k.RateLimit.Burst,
			at.UnixMicro(), k.CreatedBy, k.ExpiresAt.UnixMicro(), k.Seal.Format, k.Seal.PepperID, k.Seal.MAC)
		if err != nil {
			return nil, err
		}
		if _, err := secret.ExecContext(ctx, []byte(k.ID), string(keys.SchemeHMAC), pepperID, digest[:], at.UnixMicro()); err != nil {
			return nil, err
		}
		if i%max(1, size/shown) == 0 {
			tokens = append(tokens, token.Secret().Reveal())
		}
	}
	return tokens, tx.Commit()
}
