package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/mcpkeys/mcpkeys/keys"
)

// keyColumns and secretColumns are read in this order by scanRow.
const (
	keyColumns = `k.id, k.kind, k.name, k.owner, k.owner_id, k.scopes, k.audience, k.allowed_ips, k.metadata,
		k.rate_count, k.rate_window, k.rate_burst, k.max_concurrent, k.max_key_life, k.quiet,
		k.created_at, k.created_by, k.batch, k.expires_at, k.disabled_at, k.revoked_at, k.revoked_reason,
		k.version, k.seal_format, k.seal_pepper, k.seal`
	secretColumns = `s.number, s.scheme, s.pepper_id, s.digest, s.lookup, s.created_at, s.expires_at`
)

// record is a key as its rows hold it, before anything is made of them.
type record struct {
	id, ownerID, batch, seal               []byte
	kind, name, owner                      string
	scopes, audience, allowedIPs, metadata string
	rateCount, rateWindow, rateBurst       int64
	maxConcurrent, maxKeyLife, quiet       int64
	createdAt                              int64
	createdBy, revokedReason               string
	expiresAt, disabledAt, revokedAt       sql.NullInt64
	version, sealFormat                    int64
	sealPepper                             string
	secrets                                []secretRecord
}

type secretRecord struct {
	number, createdAt, expiresAt sql.NullInt64
	scheme, pepperID             sql.NullString
	digest, lookup               []byte
}

// answered is what a query came to.
type answered struct {
	rows *sql.Rows
	err  error
}

func answer(rows *sql.Rows, err error) answered { return answered{rows, err} }

// each hands every row to do, and closes them. doing says in an error what they were for.
func (a answered) each(doing string, do func(rows *sql.Rows) error) error {
	if a.err != nil {
		return unavailable(doing, a.err)
	}
	defer func() { _ = a.rows.Close() }() // rows.Err reports it
	for a.rows.Next() {
		if err := do(a.rows); err != nil {
			return unavailable(doing, err)
		}
	}
	return unavailable(doing, a.rows.Err())
}

// scanRecords reads what a join of keys and secrets yields, ordered so that the
// rows of a key stand together, its secrets by number.
func scanRecords(rows *sql.Rows) ([]*record, error) {
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var all []*record
	for rows.Next() {
		r, s, err := scanRow(rows)
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && bytes.Equal(all[n-1].id, r.id) {
			r = all[n-1]
		} else {
			all = append(all, r)
		}
		if s.number.Valid {
			r.secrets = append(r.secrets, s)
		}
	}
	return all, rows.Err()
}

func scanRow(rows *sql.Rows) (*record, secretRecord, error) {
	var row struct {
		record
		secret secretRecord
	}
	err := scanInto(rows, &row.record, &row.secret)
	return &row.record, row.secret, err
}

func scanInto(rows *sql.Rows, r *record, s *secretRecord) error {
	return rows.Scan(&r.id, &r.kind, &r.name, &r.owner, &r.ownerID, &r.scopes, &r.audience, &r.allowedIPs, &r.metadata,
		&r.rateCount, &r.rateWindow, &r.rateBurst, &r.maxConcurrent, &r.maxKeyLife, &r.quiet,
		&r.createdAt, &r.createdBy, &r.batch, &r.expiresAt, &r.disabledAt, &r.revokedAt, &r.revokedReason,
		&r.version, &r.sealFormat, &r.sealPepper, &r.seal,
		&s.number, &s.scheme, &s.pepperID, &s.digest, &s.lookup, &s.createdAt, &s.expiresAt)
}

// key makes the key, a new copy with each call; see take.
func (r *record) key() (*keys.Key, error) {
	own := *r
	own.ownerID, own.batch, own.seal = bytes.Clone(r.ownerID), bytes.Clone(r.batch), bytes.Clone(r.seal)
	own.secrets = slices.Clone(r.secrets)
	for i := range own.secrets {
		s := &own.secrets[i]
		s.digest, s.lookup = bytes.Clone(s.digest), bytes.Clone(s.lookup)
	}
	return own.take()
}

// take makes the key, which from then on owns the memory of r. If a column is unreadable, the row was
// edited: the error is then [keys.ErrTampered], and the key has the rest of the row but no
// seal, so that it can be shown and revoked but is never accepted.
func (r *record) take() (*keys.Key, error) {
	var odd error // what mcpkeys never writes reads as what the schema takes: the key can be revoked
	within := func(column string, n, least, most int64) int64 {
		if n >= least && n <= most {
			return n
		}
		odd = errors.Join(odd, unreadable(column))
		return 0
	}
	at := func(column string, us sql.NullInt64) time.Time {
		if us.Valid && within(column, us.Int64, minMicros, maxMicros) != us.Int64 {
			return time.Time{}
		}
		return maybeInstant(us)
	}
	k := &keys.Key{
		ID: string(r.id), Kind: keys.Kind(r.kind), Name: r.name, Owner: r.owner, OwnerID: r.ownerID,
		RateLimit: keys.RateLimit{
			Count:  int(within("rate_count", r.rateCount, 0, math.MaxInt32)),
			Window: time.Duration(within("rate_window", r.rateWindow, 0, math.MaxInt64)),
			Burst:  int(within("rate_burst", r.rateBurst, 0, math.MaxInt32)),
		},
		MaxConcurrent:   int(within("max_concurrent", r.maxConcurrent, 0, math.MaxInt32)),
		MaxKeyLife:      time.Duration(within("max_key_life", r.maxKeyLife, 0, math.MaxInt64)),
		FinishWhenQuiet: time.Duration(within("quiet", r.quiet, 0, math.MaxInt64)),
		CreatedAt:       at("created_at", sql.NullInt64{Int64: r.createdAt, Valid: true}), CreatedBy: r.createdBy, Batch: r.batch,
		ExpiresAt: at("expires_at", r.expiresAt), DisabledAt: at("disabled_at", r.disabledAt), RevokedAt: at("revoked_at", r.revokedAt),
		RevokedReason: r.revokedReason, Version: within("version", r.version, 1, mostSeq),
	}
	if _, err := keys.ParseKind(r.kind); err != nil {
		k.Kind, odd = keys.KindKey, errors.Join(odd, unreadable("kind"))
	}
	if r.name == "" {
		k.Name, odd = k.ID, errors.Join(odd, unreadable("name"))
	}
	if n := len(r.ownerID); n != 0 && n != ownerIDLen {
		k.OwnerID, odd = nil, errors.Join(odd, unreadable("owner_id"))
	}
	if len(r.secrets) > 0 {
		k.Secrets = make([]keys.KeySecret, 0, len(r.secrets))
	}
	for i := range r.secrets {
		s := &r.secrets[i]
		k.Secrets = append(k.Secrets, s.secret())
		if !s.readable() {
			odd = errors.Join(odd, unreadable("secrets"))
		}
	}
	var allowedIPs []string
	err := errors.Join(odd,
		fromJSON("scopes", r.scopes, &k.Scopes), fromJSON("audience", r.audience, &k.Audience),
		fromJSON("allowed_ips", r.allowedIPs, &allowedIPs), fromJSON("metadata", r.metadata, &k.Metadata))
	for _, text := range allowedIPs {
		p, perr := netip.ParsePrefix(text)
		if perr != nil {
			err = errors.Join(err, unreadable("allowed_ips"))
			continue
		}
		k.AllowedIPs = append(k.AllowedIPs, p)
	}
	if err != nil {
		return k, err
	}
	k.Seal = keys.Seal{Format: r.sealFormat, PepperID: r.sealPepper, MAC: r.seal}
	return k, nil
}

func (s *secretRecord) secret() keys.KeySecret {
	return keys.KeySecret{
		Number: s.number.Int64, Scheme: keys.Scheme(shared(s.scheme.String)), PepperID: shared(s.pepperID.String),
		Digest: s.digest, Lookup: s.lookup,
		CreatedAt: instant(s.createdAt.Int64), ExpiresAt: maybeInstant(s.expiresAt),
	}
}

// shared is text in memory that all keys read at about the same time share: schemes and peppers
// are few.
func shared(text string) string { return unique.Make(text).Value() }

// readable reports whether the times are such as mcpkeys writes.
func (s *secretRecord) readable() bool {
	for _, at := range []sql.NullInt64{s.createdAt, s.expiresAt} {
		if at.Valid && (at.Int64 < minMicros || at.Int64 > maxMicros) {
			return false
		}
	}
	return true
}

// ownerIDLen is the length of an owner's id.
const ownerIDLen = 16

// unreadable names the column and never its content.
func unreadable(column string) error {
	return fmt.Errorf("%w: %s cannot be read", keys.ErrTampered, column)
}

// fromJSON leaves into nil for an empty list: there is one way to have none.
func fromJSON(column, text string, into any) error {
	if text == "[]" || text == "{}" {
		return nil
	}
	if list, ok := into.(*[]string); ok && plainList(text, list) {
		return nil
	}
	if json.Unmarshal([]byte(text), into) != nil {
		return unreadable(column)
	}
	return nil
}

// plainList reads a list of texts as toJSON writes it, if none of them needs an escape. It reports
// false for everything else, of which encoding/json then knows more. The texts share memory.
func plainList(text string, into *[]string) bool {
	quotes := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quotes++
		case c < ' ', c > '~', c == '\\':
			return false
		}
	}
	if len(text) < len(`[""]`) || quotes%2 != 0 || !strings.HasPrefix(text, `["`) || !strings.HasSuffix(text, `"]`) {
		return false
	}
	rest := text[len(`["`) : len(text)-len(`"]`)]
	list := make([]string, 0, quotes/2)
	for range quotes/2 - 1 {
		one, others, found := strings.Cut(rest, `","`)
		if !found || strings.Contains(one, `"`) {
			return false
		}
		list, rest = append(list, one), others
	}
	if strings.Contains(rest, `"`) {
		return false
	}
	*into = append(list, rest)
	return true
}

// toJSON renders strings, which never fails.
func toJSON[T []string | map[string]string](v T) string {
	text, _ := json.Marshal(v)
	if string(text) != "null" {
		return string(text)
	}
	if _, ok := any(v).([]string); ok {
		return "[]"
	}
	return "{}"
}

// values are keyColumns' from kind on, in that order: what writing a key binds.
func values(k *keys.Key) []any {
	var allowedIPs []string
	for _, p := range k.AllowedIPs {
		allowedIPs = append(allowedIPs, p.String())
	}
	return []any{
		string(k.Kind), k.Name, k.Owner, maybeBlob(k.OwnerID),
		toJSON(k.Scopes), toJSON(k.Audience), toJSON(allowedIPs), toJSON(k.Metadata),
		k.RateLimit.Count, int64(k.RateLimit.Window), k.RateLimit.Burst,
		k.MaxConcurrent, int64(k.MaxKeyLife), int64(k.FinishWhenQuiet),
		micros(k.CreatedAt), k.CreatedBy, maybeBlob(k.Batch), maybeMicros(k.ExpiresAt), maybeMicros(k.DisabledAt), maybeMicros(k.RevokedAt),
		k.RevokedReason, k.Version, k.Seal.Format, k.Seal.PepperID, k.Seal.MAC,
	}
}

// maybeBlob is NULL for none.
func maybeBlob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// maybeMicros is NULL for a time that is not set.
func maybeMicros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// Times are of the years 1 to 9999, which JSON can express.
const (
	minMicros = -62_135_596_800_000_000
	maxMicros = 253_402_300_799_999_999
)

// instant is not set for a time that mcpkeys does not write.
func instant(us int64) time.Time {
	if us < minMicros || us > maxMicros {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func maybeInstant(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return instant(us.Int64)
}
