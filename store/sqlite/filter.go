package sqlite

import "strings"

// filter gathers conditions, which must all hold. Values are always bound, never
// written into the statement. The index keys_newest has all their columns, so that they
// are decided without reading the row.
type filter struct {
	where []string
	args  []any
	after *cursor // where a list continues; nil at its beginning
}

func (f *filter) and(condition string, args ...any) {
	f.where = append(f.where, condition)
	f.args = append(f.args, args...)
}

// read names a column for a condition by which the first page may be found in an index of
// another order, and then sorted. A list that continues reads on from its cursor: if it
// found all its keys in such an index again, and sorted them, a list of n pages would do so
// n times. The plus sign keeps SQLite from using an index for the condition.
func (f *filter) read(column string) string {
	if f.after == nil {
		return column
	}
	return "+" + column
}

const (
	firstIDs = `SELECT id FROM keys k WHERE {where} ORDER BY created_at DESC, id LIMIT ?`

	// An import makes many keys at one instant, so the keys after a cursor are of two kinds:
	// those of its instant with a higher id, and the older ones. In one condition with OR
	// SQLite can only seek the instant, and then walks over the keys of all earlier pages.
	// The older ones are not looked for if the page is full without them.
	nextIDs = `WITH same AS MATERIALIZED (
			SELECT id FROM keys k WHERE created_at = ? AND id > ? AND {where} ORDER BY id LIMIT ?)
		SELECT id FROM same
		UNION ALL
		SELECT id FROM (
			SELECT id FROM keys k WHERE created_at < ? AND {where} ORDER BY created_at DESC, id LIMIT ? - (SELECT count(*) FROM same))`

	pageOfIDs = `SELECT ` + keyColumns + `, ` + secretColumns + `
		FROM ({ids}) page
		CROSS JOIN keys k ON k.id = page.id
		LEFT JOIN secrets s ON s.key_id = k.id
		ORDER BY k.created_at DESC, k.id, s.number`
)

// page picks at most limit keys first, and then reads them and their secrets: one statement,
// one state.
func (f *filter) page(limit int) (statement string, args []any) {
	ids, args := firstIDs, append(f.args[:len(f.args):len(f.args)], limit)
	if c := f.after; c != nil {
		ids = nextIDs
		args = append([]any{c.createdAt, []byte(c.id)}, args...)
		args = append(append(append(args, c.createdAt), f.args...), limit)
	}
	where := strings.Join(append([]string{finished}, f.where...), " AND ")
	return strings.Replace(pageOfIDs, "{ids}", strings.ReplaceAll(ids, "{where}", where), 1), args
}
