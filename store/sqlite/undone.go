package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Undone is what a restore undoes: the difference between the present key store and the
// backup. Each key has its id, name and owner, and what the field is about.
type Undone struct {
	// Related: the backup is an earlier state of the present key store. Otherwise it is
	// of another one, or of what was replaced by a restore before.
	Related bool
	Events  int64 // audit rows since then; 0 when not Related

	Revoked  []*keys.Key // valid in the backup, revoked now; with RevokedReason
	Disabled []*keys.Key // enabled in the backup, disabled now
	Issued   []*keys.Key // not in the backup: the restore removes them
	Rotated  []*keys.Key // a replaced secret would be valid again, and the new one not
	Edited   []*keys.Key // changed otherwise
	Doubtful []*keys.Key // revoked or disabled only by a row with a broken seal, without an audit row: ignored

	Used      []UsedKey // used since the newest audit row of the backup
	UsedDoubt error     // why that is not known
}

// UsedKey is a key and when it was last used.
type UsedKey struct {
	Key *keys.Key
	At  time.Time
}

// compare compares the key store at path, which is the present one or a copy of it, with
// the backup. It accepts objects that mcpkeys did not make, and reports them as doubt:
// a restore may be meant to remove them.
func (r *Restoration) compare(ctx context.Context, path string) (*Snapshot, Undone, error) {
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	_, doubt := recognise(ctx, db, path)
	if doubt == nil {
		doubt = soundNumbers(ctx, db)
	}
	present, err := describe(ctx, db, path)
	if err != nil {
		return nil, Undone{}, err
	}
	if _, err := db.ExecContext(ctx, `ATTACH ? AS backup`, readerDSN(r.temp)); err != nil {
		return nil, Undone{}, unavailable("open backup", err)
	}
	u, err := r.differences(ctx, db)
	if err != nil {
		return nil, Undone{}, err
	}
	return &present, u, doubt
}

func (r *Restoration) differences(ctx context.Context, db *sql.DB) (u Undone, err error) {
	if err := r.relate(ctx, db, &u); err != nil {
		return Undone{}, err
	}
	if err := r.cut(ctx, db, &u); err != nil {
		return Undone{}, err
	}
	for _, list := range []struct {
		to    *[]*keys.Key
		where string
	}{{&u.Issued, vanishes}, {&u.Rotated, rotated}, {&u.Edited, edited}} {
		if *list.to, err = differing(ctx, db, list.where); err != nil {
			return Undone{}, err
		}
	}
	return u, nil
}

// What makes a key one of a list: of the present row k, and of b, its row in the backup.
const (
	vanishes = `b.id IS NULL AND (k.batch IS NULL OR k.batch IN (SELECT id FROM main.batches WHERE valid_at IS NOT NULL))`
	revived  = `b.revoked_at IS NULL AND b.id IS NOT NULL AND (k.revoked_at IS NOT NULL OR (k.disabled_at IS NOT NULL AND b.disabled_at IS NULL))`
	rotated  = `k.revoked_at IS NULL AND EXISTS (SELECT 1 FROM backup.secrets old WHERE old.key_id = k.id AND NOT EXISTS (
		SELECT 1 FROM main.secrets now WHERE now.key_id = k.id AND now.number = old.number
			AND coalesce(now.expires_at, 9e18) >= coalesce(old.expires_at, 9e18)))`
	edited = `b.version <> k.version AND NOT (` + rotated + `) AND NOT (` + revived + `)`

	// revokedByLog finds keys that are good in the backup and of which the present audit
	// log says that they were revoked, whatever has become of their rows.
	revokedByLog = `SELECT DISTINCT b.id, b.name, b.owner, NULL, '', NULL FROM main.audit a
		JOIN backup.keys b ON b.id = CAST(a.key_id AS BLOB) WHERE a.action = 'key.revoke' AND b.revoked_at IS NULL`
)

// differing returns the keys that fit, of the rows that differ from those of the backup.
func differing(ctx context.Context, db *sql.DB, where string) ([]*keys.Key, error) {
	return scanKeys(db.QueryContext(ctx, `SELECT k.id, k.name, k.owner, k.revoked_at, k.revoked_reason, k.disabled_at
		FROM main.keys k LEFT JOIN backup.keys b ON b.id = k.id WHERE `+where+` ORDER BY k.name, k.owner, k.id`))
}

func scanKeys(rows *sql.Rows, err error) ([]*keys.Key, error) {
	var list []*keys.Key
	err = answer(rows, err).each("compare with the backup", func(rows *sql.Rows) error {
		var id []byte
		var k keys.Key
		var revokedAt, disabledAt sql.NullInt64
		if err := rows.Scan(&id, &k.Name, &k.Owner, &revokedAt, &k.RevokedReason, &disabledAt); err != nil {
			return err
		}
		k.ID, k.RevokedAt, k.DisabledAt = string(id), maybeInstant(revokedAt), maybeInstant(disabledAt)
		list = append(list, &k)
		return nil
	})
	return list, err
}

// relate looks for the newest audit row of the backup in the present log.
func (r *Restoration) relate(ctx context.Context, db *sql.DB, u *Undone) error {
	u.Related = true
	newest := r.Backup.Newest
	if newest.Seq > 0 {
		var hash []byte
		err := db.QueryRowContext(ctx, `SELECT hash FROM main.audit WHERE seq = ?`, newest.Seq).Scan(&hash)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return unavailable("read audit", err)
		}
		u.Related = bytes.Equal(hash, newest.Hash)
	}
	if !u.Related {
		return nil
	}
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM main.audit WHERE seq > ?`, newest.Seq).Scan(&u.Events)
	return unavailable("read audit", err)
}

// cut finds the keys that are valid in the backup and must not be any longer. It trusts a
// row only if its seal matches: otherwise a database shell could plant a revocation in
// every row, and the restore would apply it. It trusts the audit log as it is, because
// that can only revoke or disable keys.
func (r *Restoration) cut(ctx context.Context, db *sql.DB, u *Undone) error {
	byLog, err := scanKeys(db.QueryContext(ctx, revokedByLog))
	if err != nil {
		return err
	}
	logged := map[string]*keys.Key{}
	for _, k := range byLog {
		k.RevokedReason = "revoked before a restore, according to the audit log"
		logged[k.ID] = k
	}
	byRow, err := differing(ctx, db, revived)
	if err != nil {
		return err
	}
	for _, k := range byRow {
		switch sealed := r.sealed(ctx, db, k.ID); {
		case sealed && !k.RevokedAt.IsZero():
			u.Revoked = append(u.Revoked, k)
			delete(logged, k.ID)
		case sealed:
			u.Disabled = append(u.Disabled, k)
		case logged[k.ID] == nil:
			u.Doubtful = append(u.Doubtful, k)
		}
	}
	for _, k := range byLog {
		if logged[k.ID] != nil {
			u.Revoked = append(u.Revoked, k)
		}
	}
	return nil
}

func (r *Restoration) sealed(ctx context.Context, db *sql.DB, id string) bool {
	rec, err := one(db.QueryContext(ctx, selectKey, []byte(id)))
	if err != nil {
		return false
	}
	k, err := rec.key()
	return err == nil && r.peppers.CheckSeal(k) == nil
}

// used finds the keys that were used since the backup, with names from the present key
// store, or else from the backup.
func (u *Undone) used(ctx context.Context, r *Restoration) {
	file := usageFile{path: r.options.usageFile(r.path)}
	found := map[string]time.Time{}
	u.UsedDoubt = file.read(ctx, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `SELECT key_id, secret, at, client_ip, agent FROM last_used WHERE at > ?`, micros(r.Backup.Newest.At))
		return eachLast(rows, err, func(id string, l keys.LastUse) {
			if l.At.After(found[id]) {
				found[id] = l.At
			}
		})
	})
	if u.UsedDoubt != nil || len(found) == 0 {
		return
	}
	u.Used, u.UsedDoubt = r.named(ctx, found)
}

// named puts names to ids. A key that neither knows has none.
func (r *Restoration) named(ctx context.Context, found map[string]time.Time) ([]UsedKey, error) {
	var list []UsedKey
	path := r.temp
	if r.Present != nil {
		path = r.path
	}
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	for id, at := range found {
		k := &keys.Key{ID: id}
		err := db.QueryRowContext(ctx, `SELECT name, owner FROM keys WHERE id = ?`, []byte(id)).Scan(&k.Name, &k.Owner)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("find used keys: %w", unavailable("read key", err))
		}
		list = append(list, UsedKey{k, at})
	}
	slices.SortFunc(list, func(a, b UsedKey) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Key.ID, b.Key.ID)) })
	return list, nil
}
