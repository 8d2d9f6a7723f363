package storetest

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

func everythingSurvivesRestart(t *testing.T, f *fixture) {
	for i := range 3 {
		k := f.create("key "+strconv.Itoa(i), full(f))
		f.mustUpdate(k.ID, func(k *keys.Key) { k.RevokedReason = "changed" })
	}
	before := f.state()
	for range 2 {
		if err := f.store.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		f.store = f.another()
		f.wantSame("restart", before)
	}
	for _, k := range f.all(keys.Query{}) {
		if err := f.store.Peppers().CheckSeal(k); err != nil {
			t.Errorf("CheckSeal(%s): %v", k.Name, err)
		}
	}
	f.create("after the restart", nil)
	if newest, err := audit.VerifyChain(f.chain(2)); err != nil || newest.Seq != 7 {
		t.Errorf("VerifyChain: got %v, %v, want row 7", newest, err)
	}
}

func closedIsUnavailable(t *testing.T, f *fixture) {
	k := f.create("a", nil)
	next := f.newKey("b", nil)
	s := f.another()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Key":     func(ctx context.Context) error { _, err := s.Key(ctx, k.ID); return err },
		"List":    func(ctx context.Context) error { _, err := s.List(ctx, keys.Query{}); return err },
		"Events":  func(ctx context.Context) error { _, err := s.Events(ctx, 0, 1); return err },
		"Audit":   func(ctx context.Context) error { _, err := s.Audit(ctx, audit.Query{}); return err },
		"Changes": func(ctx context.Context) error { _, err := s.Changes(ctx, feed.Position{}); return err },
		"Create":  func(ctx context.Context) error { return s.Create(ctx, next, f.event(next.ID)) },
		"CreateAll": func(ctx context.Context) error {
			return s.CreateAll(ctx, f.newKeys(), func(yield func(*keys.Key, audit.Event) bool) { yield(next, f.event(next.ID)) })
		},
		"FindSuperseded": func(ctx context.Context) error { _, err := s.FindSuperseded(ctx, [][]byte{{1}}); return err },
		"FindImported":   func(ctx context.Context) error { _, err := s.FindImported(ctx, [][]byte{{1}}); return err },
		"Update": func(context.Context) error {
			_, err := f.update(s, k.ID, func(*keys.Key) { t.Error("Update called change") })
			return err
		},
	} {
		if err := call(t.Context()); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s after Close: got %v, want ErrUnavailable", name, err)
		}
	}
	f.key(f.store, k.ID) // other handles go on
}

func closeWaits(t *testing.T, f *fixture) {
	k := f.create("a", nil)
	s := f.another()
	inside, closed := make(chan struct{}), make(chan error, 1)
	go func() {
		<-inside
		closed <- s.Close()
	}()
	_, err := s.Update(t.Context(), k.ID, func(k *keys.Key) (audit.Event, error) {
		close(inside)
		for range 1000 {
			runtime.Gosched() // time enough for a Close that does not wait
		}
		select {
		case err := <-closed:
			t.Errorf("Close returned while a change was under way: %v", err)
			closed <- err
		default:
		}
		return f.change(k.ID, func(k *keys.Key) { k.RevokedAt = f.now })(k)
	})
	if err != nil {
		t.Errorf("Update with Close waiting: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if f.key(f.store, k.ID).RevokedAt.IsZero() {
		t.Errorf("the change under way was lost")
	}
}
