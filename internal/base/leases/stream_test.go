package leases_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		news, err := f.Follow(t.Context(), leases.Place{})
		at := news.Place
		if err != nil || at.Position != f.feed.at() || at.Era == "" || news.IDs != nil {
			t.Fatalf("got %+v, %v, want the place at once", news, err)
		}
		follow := func(ctx context.Context) error {
			t.Helper()
			news, err = f.Follow(ctx, at)
			if err == nil {
				at = news.Place
			}
			return err
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { f.feed.change("one") })
		if err := follow(t.Context()); err != nil || at.Position != f.feed.at() {
			t.Errorf("got %+v, %v, want the new position", news, err)
		}
		if took := time.Since(began) - time.Second; took < 0 || took > 10*time.Millisecond {
			t.Errorf("heard of the change after %v, want some milliseconds", took)
		}
		f.feed.commit("two") // a database shell
		if err := follow(t.Context()); err != nil || at.Position != f.feed.at() || time.Since(began) > 1300*time.Millisecond {
			t.Errorf("got %+v, %v after %v, want the change that was not announced", news, err, time.Since(began))
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := follow(gone); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
		time.AfterFunc(time.Second, func() { _ = f.Close() })
		if err := follow(t.Context()); !errors.Is(err, leases.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// A stream is told the ids of the keys that changed since the place where it stands, or none if
// it must renew to find out.
func TestFollowNamesKeys(t *testing.T) {
	many := make([]string, protocol.MaxTags+1)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, tc := range map[string]struct {
		change func(*changing)
		from   func(leases.Place) leases.Place
		want   []string
	}{
		"one key":             {change: func(f *changing) { f.change("a") }, want: []string{"a"}},
		"each key once":       {change: func(f *changing) { f.change("a", "b", "a") }, want: []string{"a", "b"}},
		"as many as allowed":  {change: func(f *changing) { f.change(many[1:]...) }, want: many[1:]},
		"too many":            {change: func(f *changing) { f.change(many...) }},
		"not about a key":     {change: func(f *changing) { f.change("a", "") }},
		"a restore":           {change: func(f *changing) { f.restore() }},
		"changes were lost":   {change: func(f *changing) { f.lose(); f.change("a") }},
		"lost, same position": {change: func(f *changing) { f.lose() }},
		"another era":         {change: func(f *changing) { f.change("a") }, from: func(p leases.Place) leases.Place { p.Era = "x"; return p }},
		"before the history":  {change: func(f *changing) { f.change("a") }, from: func(p leases.Place) leases.Place { p.Position--; return p }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t)
				first, err := f.Follow(t.Context(), leases.Place{})
				if err != nil {
					t.Fatal(err)
				}
				at := first.Place
				tc.change(f.feed)
				if _, err := f.Follow(t.Context(), at); err != nil { // the change has been read
					t.Fatal(err)
				}
				if tc.from != nil {
					at = tc.from(at)
				}
				news, err := f.Follow(t.Context(), at)
				if err != nil || !slices.Equal(news.IDs, tc.want) || (news.IDs == nil) != (tc.want == nil) || news.Position != f.feed.at() {
					t.Errorf("got %+v, %v, want %v", news, err, tc.want)
				}
			})
		})
	}
}

// Without verifiers the store is not read.
func TestIdleRegistryDoesNotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.verifier("caller").renew(t)
		time.Sleep(feed.LongestLease + time.Second)
		looks := f.feed.looked()
		f.feed.change("one")
		time.Sleep(time.Minute)
		if f.feed.looked() != looks {
			t.Errorf("got %d looks, want none", f.feed.looked()-looks)
		}
	})
}

func TestOneStreamForEachInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		i := protocol.NewInstance()
		first, release, err := f.Stream(t.Context(), "caller", i)
		if err != nil {
			t.Fatal(err)
		}
		second, releaseSecond, err := f.Stream(t.Context(), "caller", i)
		if err != nil || first.Err() == nil || second.Err() != nil {
			t.Errorf("got %v, %v, %v, want the first one ended", err, first.Err(), second.Err())
		}
		release()
		if second.Err() != nil {
			t.Error("the end of the first one ended the second")
		}
		releaseSecond()
		for range 1000 {
			if _, _, err := f.Stream(t.Context(), "caller", protocol.NewInstance()); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := f.Stream(t.Context(), "caller", protocol.NewInstance()); !errors.Is(err, leases.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
		last, _, err := f.Stream(t.Context(), "other", i)
		if err != nil {
			t.Fatal(err)
		}
		f.Leave()
		<-last.Done()
		if !errors.Is(context.Cause(last), leases.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", context.Cause(last))
		}
		if _, _, err := f.Stream(t.Context(), "other", i); !errors.Is(err, leases.ErrClosed) {
			t.Errorf("a stream after Leave: got %v, want ErrClosed", err)
		}
		if g := f.verifier("caller").ask(t); g.Lease != leased {
			t.Errorf("a renewal after Leave: got %+v, want a lease", g)
		}
	})
}
