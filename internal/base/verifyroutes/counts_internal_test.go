package verifyroutes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// failing counts the denials that are added, and fails as told.
type failing struct {
	Source
	denials int
	err     error
}

func (f *failing) Key(_ context.Context, id string) (*keys.Key, error) {
	return &keys.Key{ID: id, Secrets: []keys.KeySecret{{Number: 1}}}, nil
}

func (f *failing) AddMessage(_ context.Context, m *usage.Message) error {
	if f.err == nil {
		f.denials += len(m.Denials)
	}
	return f.err
}

// rowsOf returns n denials that differ from those of other series.
func rowsOf(series, n int) (list []usage.Denial) {
	for i := range n {
		list = append(list, usage.Denial{Code: keys.CodeNotFound, Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(series), byte(i >> 8), byte(i)}), 32), Calls: 1})
	}
	return list
}

// A22. A verify key adds at most 640 rows of denials a minute, in all its processes together. More
// calls of a row that it added are counted, and so is a message that is repeated.
func TestA22RowsOfDenialsAreBounded(t *testing.T) {
	peppers, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	source := &failing{}
	l := &lessor{source: source, now: func() time.Time { return now }, peppers: func() *pepper.Set { return peppers }}
	send := func(what, caller string, series, want int) {
		t.Helper()
		m := &protocol.Counts{N: 1}
		for _, d := range rowsOf(series, 500) {
			m.Denials = append(m.Denials, protocol.Denial{Minute: now, Code: string(d.Code), Source: d.Source.String(), Calls: 1})
		}
		before := source.denials
		err := l.apply(t.Context(), &asker{caller: caller, instance: protocol.NewInstance()}, m)
		if got := source.denials - before; got != want || (err == nil) != (source.err == nil) {
			t.Errorf("%s: got %d rows, %v, want %d", what, got, err, want)
		}
	}
	source.err = errors.New("no disk")
	send("a failure", "caller", 1, 0)
	source.err = nil
	send("the first message", "caller", 1, 500)
	send("another process", "caller", 2, 140)
	send("no room", "caller", 3, 0)
	send("rows that it added", "caller", 1, 500)
	send("another verify key", "other", 3, 500)
	now = now.Add(time.Minute)
	send("a minute later", "caller", 3, 500)

	var s shares
	for i := range 2 * maxDenying {
		s.cut(fmt.Sprint(i), rowsOf(0, 1), now)
	}
	if len(s.of) > maxDenying+1 {
		t.Errorf("got %d verify keys, want at most %d", len(s.of), maxDenying+1)
	}
	if got := len(s.cut("one more", rowsOf(1, 2*maxDenialRows), now)); got == 0 || got > maxDenialRows {
		t.Errorf("one verify key too many: got %d rows, want some", got)
	}
}

// A6. One verify key has at most 128 questions under way.
func TestA6QuestionsOfACallerAreBounded(t *testing.T) {
	var c callers
	var all []*underWay
	for range maxProofs {
		u, err := c.enter("caller")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	var busy *restapi.BusyError
	if _, err := c.enter("caller"); !errors.As(err, &busy) || !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("one question too many: got %v, want a BusyError", err)
	}
	other, err := c.enter("other")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		c.leave("caller", u)
	}
	c.leave("other", other)
	if len(c.by) != 0 {
		t.Errorf("got %d callers, want none", len(c.by))
	}
}

// A6. Slow hashes of one verify key are computed one after the other. At most 16 questions wait for
// that, each for a second, and not for those of other verify keys.
func TestA6SlowTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c callers
		turn := func(caller string) *slowTurn {
			u, err := c.enter(caller)
			if err != nil {
				t.Fatal(err)
			}
			return &slowTurn{callers: &c, of: u}
		}
		one, two, began := turn("caller"), turn("caller"), time.Now()
		if err := errors.Join(one.take(t.Context()), one.take(t.Context()), turn("other").take(t.Context())); err != nil {
			t.Errorf("one of each verify key: got %v", err)
		}
		time.AfterFunc(900*time.Millisecond, one.end)
		if err := two.take(t.Context()); err != nil || time.Since(began) != 900*time.Millisecond {
			t.Errorf("a second one: got %v after %v, want its turn after 900ms", err, time.Since(began))
		}
		one.end() // it has no turn now
		began = time.Now()
		var busy *restapi.BusyError
		if err := one.take(t.Context()); !errors.As(err, &busy) || time.Since(began) != slowPatience {
			t.Errorf("while another one takes long: got %v after %v, want a BusyError after a second", err, time.Since(began))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began = time.Now()
		if err := one.take(short); !errors.Is(err, keys.ErrUnavailable) || time.Since(began) != time.Millisecond {
			t.Errorf("of a client that leaves: got %v after %v, want ErrUnavailable at once", err, time.Since(began))
		}
		errs := make(chan error, maxSlowWaiting)
		for range maxSlowWaiting {
			go func() { s := turn("caller"); errs <- s.take(t.Context()); s.end() }()
		}
		synctest.Wait()
		began = time.Now()
		if err := one.take(t.Context()); !errors.As(err, &busy) || time.Since(began) != 0 {
			t.Errorf("one too many that wait: got %v after %v, want a BusyError at once", err, time.Since(began))
		}
		two.end()
		for range maxSlowWaiting {
			if err := <-errs; err != nil {
				t.Errorf("one of 16 that wait: got %v, want its turn", err)
			}
		}
		synctest.Wait()
		if one.of.waiting != 0 || len(one.of.slow) != 0 {
			t.Errorf("in the end: got %d that wait, %d that compute, want none", one.of.waiting, len(one.of.slow))
		}
	})
}
