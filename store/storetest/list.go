package storetest

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

func listsRunNewestFirst(t *testing.T, f *fixture) {
	for i := range 4 {
		f.create("key "+strconv.Itoa(i), nil)
	}
	if got, want := f.list(keys.Query{}), []string{"key 3", "key 2", "key 1", "key 0"}; !slices.Equal(got, want) {
		t.Errorf("List: got %q, want %q", got, want)
	}
	if got, want := f.list(keys.Query{Limit: 1}), []string{"key 3", "key 2", "key 1", "key 0"}; !slices.Equal(got, want) {
		t.Errorf("List by ones: got %q, want %q", got, want)
	}
	page, err := f.store.List(t.Context(), keys.Query{Limit: 4})
	if err != nil || len(page.Keys) != 4 || page.Next != "" {
		t.Errorf("List of exactly one page: got %d keys, next %q, %v, want no next page", len(page.Keys), page.Next, err)
	}
}

// Keys are issued between pages, some of them in the same microsecond as one on the page's
// edge. Every key that existed from the start is listed exactly once.
func pagingUnderInserts(t *testing.T, f *fixture) {
	same := f.now
	for i := range 20 {
		f.create("old "+strconv.Itoa(i), func(k *keys.Key) {
			if i%2 == 0 {
				k.CreatedAt = same
			}
		})
	}
	seen := map[string]int{}
	q := keys.Query{Limit: 3}
	for turn := 0; ; turn++ {
		page, err := f.store.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		for _, k := range page.Keys {
			seen[k.Name]++
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
		f.create("new "+strconv.Itoa(turn), nil)
		f.create("new, same moment "+strconv.Itoa(turn), func(k *keys.Key) { k.CreatedAt = same })
		f.mustUpdate(page.Keys[0].ID, func(k *keys.Key) { k.RevokedAt = f.now })
		if turn > 40 {
			t.Fatal("paging does not end")
		}
	}
	for i := range 20 {
		if n := seen["old "+strconv.Itoa(i)]; n != 1 {
			t.Errorf("old %d: seen %d times, want once", i, n)
		}
	}
	for name, n := range seen {
		if n > 1 {
			t.Errorf("%s: seen %d times", name, n)
		}
	}
}

// An import makes many keys at one instant. The pages of each list are together the whole
// list, in one order: newest first, then by id.
func pagesOfOneInstant(t *testing.T, f *fixture) {
	same, ann := f.now, "ann"
	for i := range 60 {
		f.create("key "+strconv.Itoa(i), func(k *keys.Key) {
			if i%4 != 0 {
				k.CreatedAt = same
			}
			if i%3 == 0 {
				k.Owner, k.Scopes, k.Audience = ann, []string{"tools:a"}, []string{"weather"}
			} else {
				k.Name, k.Owner = "shared", "owner "+strconv.Itoa(i)
			}
			if i%5 == 0 {
				k.RevokedAt = f.now
			}
			if i%7 == 0 {
				k.ExpiresAt = same.Add(time.Hour)
			}
		})
	}
	all := f.all(keys.Query{})
	if !slices.IsSortedFunc(all, func(a, b *keys.Key) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	}) {
		t.Error("List: keys are not in the order of creation, newest first, and then of ids")
	}
	prefix := all[0].ID[:1]
	for what, c := range map[string]struct {
		q    keys.Query
		fits func(*keys.Key) bool
	}{
		"all":       {keys.Query{}, func(*keys.Key) bool { return true }},
		"unrevoked": {keys.Query{Unrevoked: true}, func(k *keys.Key) bool { return k.RevokedAt.IsZero() }},
		"revoked":   {keys.Query{Status: keys.StatusRevoked, Now: same}, func(k *keys.Key) bool { return !k.RevokedAt.IsZero() }},
		"owner":     {keys.Query{Owner: &ann}, func(k *keys.Key) bool { return k.Owner == ann }},
		"name":      {keys.Query{Name: "shared"}, func(k *keys.Key) bool { return k.Name == "shared" }},
		"unrevoked name": {keys.Query{Name: "shared", Unrevoked: true}, func(k *keys.Key) bool {
			return k.Name == "shared" && k.RevokedAt.IsZero()
		}},
		"id prefix":  {keys.Query{IDPrefix: prefix}, func(k *keys.Key) bool { return strings.HasPrefix(k.ID, prefix) }},
		"scope":      {keys.Query{Scope: "tools:a"}, func(k *keys.Key) bool { return k.Owner == ann }},
		"audience":   {keys.Query{Audience: "weather"}, func(k *keys.Key) bool { return k.Owner == ann }},
		"search":     {keys.Query{Search: "key"}, func(k *keys.Key) bool { return strings.Contains(k.Name, "key") }},
		"expires by": {keys.Query{ExpiresBy: same.Add(2 * time.Hour)}, func(k *keys.Key) bool { return k.RevokedAt.IsZero() && !k.ExpiresAt.IsZero() }},
		"kind":       {keys.Query{Kind: keys.KindAdmin}, func(*keys.Key) bool { return false }},
		"unused":     {keys.Query{UnusedBy: time.Now().Add(24 * time.Hour)}, func(*keys.Key) bool { return true }},
	} {
		var want []string
		for _, k := range all {
			if c.fits(k) {
				want = append(want, k.ID)
			}
		}
		for _, limit := range []int{1, 3, len(all)} {
			c.q.Limit = limit
			var got []string
			for _, k := range f.all(c.q) {
				got = append(got, k.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("List(%s) in pages of %d: got %q, want %q", what, limit, got, want)
			}
		}
	}
}

func pageCountsKeys(t *testing.T, f *fixture) {
	for i := range 4 {
		f.create("key "+strconv.Itoa(i), full(f))
	}
	page, err := f.store.List(t.Context(), keys.Query{Limit: 3})
	if err != nil || len(page.Keys) != 3 || page.Next == "" {
		t.Fatalf("List: got %d keys, next %q, %v, want 3 and a next page", len(page.Keys), page.Next, err)
	}
	for _, k := range page.Keys {
		if len(k.Secrets) != 2 {
			t.Errorf("%s: got %d secrets, want 2", k.Name, len(k.Secrets))
		}
		if d := diff(f.key(f.store, k.ID), k); d != "" {
			t.Errorf("%s: listed otherwise than read (-Key +List):\n%s", k.Name, d)
		}
	}
}

func pageIsBounded(t *testing.T, f *fixture) {
	for i := range keys.MaxLimit + 1 {
		f.create("key "+strconv.Itoa(i), nil)
	}
	for limit, want := range map[int]int{
		0: keys.DefaultLimit, -1: keys.DefaultLimit, 1: 1, keys.MaxLimit: keys.MaxLimit, 1 << 40: keys.MaxLimit,
	} {
		page, err := f.store.List(t.Context(), keys.Query{Limit: limit})
		if err != nil || len(page.Keys) != want || page.Next == "" {
			t.Errorf("List(limit %d): got %d keys, next %q, %v, want %d and a next page", limit, len(page.Keys), page.Next, err, want)
		}
	}
}

func strangeCursorIsRefused(t *testing.T, f *fixture) {
	f.create("a", nil)
	f.create("b", nil)
	page, err := f.store.List(t.Context(), keys.Query{Limit: 1})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, text := range []string{
		"x", "!", " " + page.Next, page.Next + "\n", page.Next + "A", page.Next[1:], page.Next[:len(page.Next)-1], page.Next + "=",
		"' OR 1=1 --", "\x00", strings.Repeat("A", 1<<20), base64.RawURLEncoding.EncodeToString([]byte("{}")),
	} {
		_, err := f.store.List(t.Context(), keys.Query{Cursor: text})
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "cursor" {
			t.Errorf("List(cursor %.20q): got %v, want an InvalidError of cursor", text, err)
		}
	}
}

// The status is derived in two places, in Go for one key and by the store for a
// list. Every state, on, one microsecond before and after every boundary, also
// when now lies between two microseconds.
func listedStatusAgrees(t *testing.T, f *fixture) {
	now := start
	boundaries := []time.Time{{}, now, now.Add(keys.ExpiringWithin)}
	offsets := []time.Duration{-time.Hour, -time.Microsecond, 0, time.Microsecond, time.Hour}
	n := 0
	for _, boundary := range boundaries {
		for _, offset := range offsets {
			for state := range 4 {
				f.create(fmt.Sprint("key ", n), func(k *keys.Key) {
					if !boundary.IsZero() {
						k.ExpiresAt = boundary.Add(offset)
					}
					if state&1 != 0 {
						k.DisabledAt = now
					}
					if state&2 != 0 {
						k.RevokedAt = now
					}
				})
				n++
			}
		}
	}
	all := f.all(keys.Query{})
	for _, at := range []time.Time{now, now.Add(-time.Nanosecond), now.Add(time.Nanosecond), now.Add(999), now.Add(-999), now.Local()} {
		listed := 0
		for _, status := range []keys.Status{keys.StatusActive, keys.StatusExpiring, keys.StatusExpired, keys.StatusDisabled, keys.StatusRevoked} {
			var want []string
			for _, k := range all {
				if k.Status(at) == status {
					want = append(want, k.Name)
				}
			}
			f.wantList(fmt.Sprintf("%s at %v", status, at), keys.Query{Status: status, Now: at}, want...)
			listed += len(want)
		}
		if listed != n {
			t.Errorf("at %v: %d of %d keys have a status", at, listed, n)
		}
	}
	var invalid *keys.InvalidError
	if _, err := f.store.List(t.Context(), keys.Query{Status: "gone"}); !errors.As(err, &invalid) || invalid.Field != "status" {
		t.Errorf("List(status gone): got %v, want an InvalidError of status", err)
	}
}
