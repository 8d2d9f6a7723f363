package keys

import (
	"context"
	"errors"
	"strings"
)

// MinPrefix is the shortest beginning of an id that [Resolve] takes for one.
const MinPrefix = 6

// Resolve finds the one key that a person means by ref: an exact id, else an exact
// name among the unrevoked keys ("owner/name" when two owners share it), else the
// beginning of an id, [MinPrefix] characters or more. It fails with ErrNotFound, or
// with an [*AmbiguousError] that lists whom ref fits.
func Resolve(ctx context.Context, m Manager, ref string) (*Key, error) {
	if LooksLikeToken(ref) {
		return nil, invalid("key", "is named by its id or name, never by the secret; if that was a real key, revoke it now")
	}
	if ValidID(ref) {
		k, err := m.Key(ctx, ref)
		if !errors.Is(err, ErrNotFound) {
			return k, err
		}
	}
	for _, step := range [][]Query{namedLike(ref), prefixedLike(ref)} {
		found, err := collect(ctx, m, step)
		if err != nil {
			return nil, err
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return m.Key(ctx, found[0].ID)
		}
		return nil, &AmbiguousError{Candidates: found}
	}
	return nil, ErrNotFound
}

// namedLike reads ref as a name, and, for every slash in it, as owner/name: both
// parts may hold slashes of their own.
func namedLike(ref string) []Query {
	if ref == "" {
		return nil
	}
	queries := []Query{{Name: ref, Unrevoked: true}}
	for i, c := range ref {
		if c == '/' && i+1 < len(ref) {
			owner := ref[:i]
			queries = append(queries, Query{Name: ref[i+1:], Owner: &owner, Unrevoked: true})
		}
	}
	return queries
}

func prefixedLike(ref string) []Query {
	if len(ref) < MinPrefix || len(ref) > IDLen || !isBase62(ref) {
		return nil
	}
	return []Query{{IDPrefix: ref}}
}

// collect runs the queries and keeps each key once.
func collect(ctx context.Context, m Manager, queries []Query) ([]*Key, error) {
	var found []*Key
	seen := map[string]bool{}
	for _, q := range queries {
		page, err := m.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, k := range page.Keys {
			if !seen[k.ID] {
				seen[k.ID] = true
				found = append(found, k)
			}
		}
	}
	return found, nil
}

// Label is how to name k to a person without doubt: owner/name, or the name alone.
func (k *Key) Label() string { return strings.TrimPrefix(k.Owner+"/"+k.Name, "/") }
