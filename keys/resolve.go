package keys

import (
	"context"
	"errors"
	"unicode/utf8"
)

// MinPrefix is the shortest beginning of an id that [Resolve] takes for one.
const MinPrefix = 6

// Resolve finds the one key that a person means by ref: an exact id, else an exact
// name among the unrevoked keys ("owner/name" when two owners share it), else the
// beginning of an id, [MinPrefix] characters or more, else the name of a revoked key: so
// that to revoke by name twice succeeds twice, and every verb understands the same names.
// Of several revoked keys that bore one owner's name it returns the newest. It fails with
// ErrNotFound, or with an [*AmbiguousError] that lists whom ref fits.
func Resolve(ctx context.Context, m Manager, ref string) (*Key, error) {
	if LooksLikeToken(ref) {
		return nil, Invalid("key", "is named by its id or name, never by the secret; if that was a real key, revoke it now")
	}
	if utf8.RuneCountInString(ref) > 2*MaxText+1 {
		return nil, ErrNotFound // longer than any owner/name
	}
	if ValidID(ref) {
		k, err := m.Key(ctx, ref)
		if !errors.Is(err, ErrNotFound) {
			return k, err
		}
	}
	for _, step := range [][]Query{namedLike(ref, Query{Unrevoked: true}), prefixedLike(ref)} {
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
	return resolveRevoked(ctx, m, ref)
}

func resolveRevoked(ctx context.Context, m Manager, ref string) (*Key, error) {
	found, err := collect(ctx, m, namedLike(ref, Query{Status: StatusRevoked}))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	for _, k := range found {
		if k.Owner != found[0].Owner || k.Name != found[0].Name {
			return nil, &AmbiguousError{Candidates: found}
		}
	}
	return m.Key(ctx, found[0].ID)
}

// namedLike reads ref as a name, and, for every slash in it, as owner/name: both
// parts may hold slashes of their own. Each query asks for what state asks, too.
func namedLike(ref string, state Query) []Query {
	if ref == "" {
		return nil
	}
	named := state
	named.Name = ref
	queries := []Query{named}
	for i, c := range ref {
		if c == '/' && i+1 < len(ref) {
			owner := ref[:i]
			owned := state
			owned.Name, owned.Owner = ref[i+1:], &owner
			queries = append(queries, owned)
		}
	}
	return queries
}

func prefixedLike(ref string) []Query {
	if len(ref) < MinPrefix || !ValidIDPrefix(ref) {
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
