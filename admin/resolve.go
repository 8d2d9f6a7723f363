package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mcpkeys/mcpkeys/keys"
)

// minPrefix is the shortest beginning of an id that [Resolve] accepts.
const minPrefix = 6

// Resolve finds the one key that a user means by ref. It tries in this order: an exact id; an
// exact name among the keys that are not revoked ("owner/name" if two owners share it); the
// beginning of an id, [minPrefix] characters or more; the name of a revoked key, so that
// revoking by name twice succeeds twice, and all commands understand the same names. If several
// revoked keys have the same owner and name, it returns the newest. It fails with ErrNotFound,
// or with an [*AmbiguousError] that lists the matching keys.
func Resolve(ctx context.Context, m Manager, ref string) (*keys.Key, error) {
	if keys.LooksLikeToken(ref) {
		return nil, keys.Invalid("key", "must be an id or a name, never the secret; if this was a real secret, revoke the key now")
	}
	if utf8.RuneCountInString(ref) > 2*keys.MaxText+1 {
		return nil, keys.ErrNotFound // longer than any owner/name
	}
	if keys.ValidID(ref) {
		k, err := m.Key(ctx, ref)
		if !errors.Is(err, keys.ErrNotFound) {
			return k, err
		}
	}
	for _, step := range [][]keys.Query{namedLike(ref, keys.Query{Unrevoked: true}), prefixedLike(ref)} {
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

func resolveRevoked(ctx context.Context, m Manager, ref string) (*keys.Key, error) {
	found, err := collect(ctx, m, namedLike(ref, keys.Query{Status: keys.StatusRevoked}))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, keys.ErrNotFound
	}
	for _, k := range found {
		if k.Owner != found[0].Owner || k.Name != found[0].Name {
			return nil, &AmbiguousError{Candidates: found}
		}
	}
	return m.Key(ctx, found[0].ID)
}

// namedLike returns queries that take ref as a name, and, for every slash in it, as owner/name,
// because both parts may contain slashes. Each query includes the conditions of state.
func namedLike(ref string, state keys.Query) []keys.Query {
	if ref == "" {
		return nil
	}
	named := state
	named.Name = ref
	queries := []keys.Query{named}
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

func prefixedLike(ref string) []keys.Query {
	if len(ref) < minPrefix || len(ref) > keys.IDLen || !keys.ValidID(ref+strings.Repeat("0", keys.IDLen-len(ref))) {
		return nil
	}
	return []keys.Query{{IDPrefix: ref}}
}

// collect runs the queries and keeps each key once.
func collect(ctx context.Context, m Manager, queries []keys.Query) ([]*keys.Key, error) {
	var found []*keys.Key
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

// AmbiguousError is a reference that matches several keys. It is a [keys.ErrConflict].
type AmbiguousError struct {
	Candidates []*keys.Key
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d keys match; use the id of the one you mean", len(e.Candidates))
}

// Is reports whether target is [keys.ErrConflict].
func (e *AmbiguousError) Is(target error) bool { return target == keys.ErrConflict }
