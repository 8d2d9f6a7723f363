package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// List implements [store.Reader]. A key with a column that cannot be understood is
// listed without a seal, so that it can be found and revoked.
func (r *Reader) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	var page keys.Page
	err := r.withPeppers(ctx, func() (err error) {
		page, err = r.list(ctx, q)
		return err
	})
	if err == nil {
		err = r.meet(ctx, page.Keys...)
	}
	if err == nil {
		page.LastUsed = r.lastUsed(ctx, page.Keys)
	}
	return page, err
}

func (r *Reader) list(ctx context.Context, q keys.Query) (keys.Page, error) {
	if !q.UnusedBy.IsZero() {
		return r.listUnused(ctx, q)
	}
	if err := r.gate.enter(); err != nil {
		return keys.Page{}, err
	}
	defer r.gate.leave()
	return r.listIn(ctx, r.db, q)
}

func (r *Reader) listIn(ctx context.Context, db *sql.DB, q keys.Query) (keys.Page, error) {
	return r.pageOf(ctx, db, &filter{}, q)
}

// pageOf lists the page of q whose keys also meet the conditions of f.
func (r *Reader) pageOf(ctx context.Context, db *sql.DB, f *filter, q keys.Query) (keys.Page, error) {
	if err := f.add(&q); err != nil {
		return keys.Page{}, err
	}
	limit := pageSize(q.Limit)
	statement, args := f.page(limit + 1)
	rows, err := db.QueryContext(ctx, statement, args...)
	if err != nil {
		return keys.Page{}, unavailable("list keys", err)
	}
	found, err := scanRecords(rows)
	if err != nil {
		return keys.Page{}, unavailable("list keys", err)
	}
	var page keys.Page
	if len(found) > limit {
		found = found[:limit]
		page.Next = cursorAfter(found[limit-1]).String()
	}
	for _, rec := range found {
		shown, err := r.mayShow(ctx, db, rec.batch)
		if err != nil {
			return keys.Page{}, err
		}
		if !shown {
			continue
		}
		k, _ := rec.key()
		page.Keys = append(page.Keys, k)
	}
	return page, nil
}

func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return keys.DefaultLimit
	case limit > keys.MaxLimit:
		return keys.MaxLimit
	}
	return limit
}

func (f *filter) add(q *keys.Query) error {
	if err := f.addCursor(q.Cursor); err != nil {
		return err
	}
	if err := f.addStatus(q.Status, q.Now); err != nil {
		return err
	}
	if q.Unrevoked {
		f.and(`revoked_at IS NULL`)
	}
	if q.Kind != "" {
		f.and(`kind = ?`, string(q.Kind))
	}
	if q.Name != "" {
		f.and(f.read(`name`)+` = ?`, q.Name)
	}
	if q.Owner != nil {
		f.and(`owner = ?`, *q.Owner)
	}
	if q.IDPrefix != "" {
		f.and(f.read(`id`)+` BETWEEN ? AND ?`, []byte(q.IDPrefix), []byte(q.IDPrefix+"\xff"))
	}
	if q.Scope != "" {
		f.addMember("scopes", q.Scope)
	}
	if q.Audience != "" {
		f.addMember("audience", q.Audience)
	}
	if q.Search != "" {
		f.addSearch(q.Search)
	}
	if !q.ExpiresBy.IsZero() {
		f.and(`revoked_at IS NULL AND expires_at <= ?`, before(q.ExpiresBy))
	}
	f.addUnused(q.UnusedBy)
	return nil
}

// addMember asks whether a column's list holds a text. The list is parsed only where
// the text stands in it as it is, or where it may be hidden: JSON has other ways to
// write a letter, all with a backslash, and an edited row may use them. CASE keeps
// one damaged row from failing the whole list.
func (f *filter) addMember(column, text string) {
	if quoted, _ := json.Marshal(text); string(quoted) == `"`+text+`"` { // a string never fails
		f.and(`(instr(`+column+`, ?) OR instr(`+column+`, '\'))`, string(quoted))
	}
	f.and(`CASE WHEN json_valid(`+column+`) THEN EXISTS (SELECT 1 FROM json_each(`+column+`) WHERE json_each.value = ?) END`, text)
}

// likeMost is the longest text that is looked for with LIKE, which takes a third of
// the time, and has a limit. It also ends at a NUL.
const likeMost = 1000

// addSearch asks whether the id, the name or the owner has text in it.
func (f *filter) addSearch(text string) {
	if len(text) > likeMost || strings.Contains(text, "\x00") {
		f.and(`(instr(lower(CAST(id AS TEXT)), lower(?)) OR instr(lower(name), lower(?)) OR instr(lower(owner), lower(?)))`, text, text, text)
		return
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
	f.and(`(CAST(id AS TEXT) LIKE ? ESCAPE '\' OR name LIKE ? ESCAPE '\' OR owner LIKE ? ESCAPE '\')`, pattern, pattern, pattern)
}

// addStatus says in SQL what [keys.Key.Status] says in Go; the suite in
// store/storetest holds the two against each other.
func (f *filter) addStatus(status keys.Status, now time.Time) error {
	if status == "" {
		return nil
	}
	if _, err := keys.ParseStatus(string(status)); err != nil {
		return err
	}
	if status == keys.StatusRevoked {
		f.and(`revoked_at IS NOT NULL`)
		return nil
	}
	f.and(`revoked_at IS NULL`)
	if status == keys.StatusDisabled {
		f.and(`disabled_at IS NOT NULL`)
		return nil
	}
	f.and(`disabled_at IS NULL`)
	soon := before(now.Add(keys.ExpiringWithin))
	switch status {
	case keys.StatusExpired:
		f.and(`expires_at <= ?`, micros(now))
	case keys.StatusExpiring:
		f.and(`expires_at > ? AND expires_at <= ?`, micros(now), soon)
	case keys.StatusActive:
		f.and(`(expires_at IS NULL OR (expires_at > ? AND expires_at > ?))`, micros(now), soon)
	}
	return nil
}

// before is the last microsecond that lies before t, which may have nanoseconds.
func before(t time.Time) int64 { return micros(t.Add(-time.Nanosecond)) }
