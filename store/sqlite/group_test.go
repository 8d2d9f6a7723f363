package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"go.uber.org/goleak"
)

// crowd is a store whose writer is held up by one change until a crowd of callers
// waits behind it: the next group is known before it begins.
type crowd struct {
	*sqlite.Store
	t       testing.TB
	path    string
	m       *keys.LocalManager
	victim  string       // the key that is held, and that crowds may change
	commits atomic.Int64 // of the writer
}

func newCrowd(t testing.TB) *crowd {
	t.Helper()
	path := create(t)
	c := &crowd{Store: open(t, path), t: t, path: path}
	c.m = manager(t, c)
	c.victim = issue(t, c, keys.IssueRequest{Name: "victim"}).Key.ID
	c.driver(func(d *sqlite3.SQLiteConn) {
		d.RegisterCommitHook(func() int { c.commits.Add(1); return 0 })
	})
	return c
}

// onRollback calls do whenever the writer has rolled a transaction back.
func (c *crowd) onRollback(do func()) {
	c.t.Helper()
	c.driver(func(d *sqlite3.SQLiteConn) { d.RegisterRollbackHook(do) })
}

// driver gives access to the one connection that writes.
func (c *crowd) driver(do func(*sqlite3.SQLiteConn)) {
	c.t.Helper()
	conn, err := c.Writer().Conn(context.WithoutCancel(c.t.Context()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	if err := conn.Raw(func(d any) error { do(sqlite.Driven(d)); return nil }); err != nil {
		c.t.Fatal(err)
	}
}

// at calls all of them at once, so that they come to share a transaction, in the
// order given, and returns when all have returned.
func (c *crowd) at(callers ...func()) {
	c.t.Helper()
	c.hold(func() {}, callers...)
}

// hold calls also when all are waiting.
func (c *crowd) hold(also func(), callers ...func()) {
	c.t.Helper()
	if err := c.held(also, callers...); err != nil {
		c.t.Errorf("the change that held the crowd up: %v", err)
	}
}

// held is hold where the change that holds the crowd up may fail as well.
func (c *crowd) held(also func(), callers ...func()) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	_, err := c.Update(c.t.Context(), c.victim, func(*keys.Key) (keys.Event, error) {
		for i, call := range callers {
			wg.Go(call)
			for c.Waiting() <= i { // so that they stand in this order
				runtime.Gosched()
			}
		}
		also()
		return keys.Event{}, keys.ErrNoChange
	})
	return err
}

// issues returns a caller that issues a key, and says how that ended.
func (c *crowd) issues(name string, edit ...func(*keys.IssueRequest)) (call func(), ended *error) {
	req := keys.IssueRequest{Name: name}
	for _, e := range edit {
		e(&req)
	}
	ended = new(error)
	return func() { _, *ended = c.m.Issue(c.t.Context(), req) }, ended
}

func (c *crowd) wantIssued(names ...string) {
	c.t.Helper()
	for _, name := range names {
		page, err := c.List(c.t.Context(), keys.Query{Name: name})
		if err != nil || len(page.Keys) != 1 {
			c.t.Errorf("List(%q): got %d keys, %v, want one", name, len(page.Keys), err)
		}
	}
	events, err := c.Events(c.t.Context(), 0, 10_000)
	if err != nil || len(events) != len(names)+1 { // and the victim
		c.t.Errorf("Events: got %d, %v, want %d", len(events), err, len(names)+1)
	}
	if _, err := keys.VerifyChain(func(yield func(keys.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}); err != nil {
		c.t.Errorf("VerifyChain: %v", err)
	}
}

func TestGroupCommitsOnce(t *testing.T) {
	c := newCrowd(t)
	before := c.Epoch()
	var callers []func()
	var ended []*error
	var names []string
	for i := range sqlite.MaxGroup + 10 {
		names = append(names, strconv.Itoa(i))
		call, err := c.issues(names[i])
		callers, ended = append(callers, call), append(ended, err)
	}
	c.at(callers...)
	for i, err := range ended {
		if *err != nil {
			t.Errorf("Issue(%q): %v", names[i], *err)
		}
	}
	c.wantIssued(names...)
	if got := c.commits.Load(); got != 2 { // a full group, and the ten
		t.Errorf("%d keys in %d commits, want 2", len(names), got)
	}
	if moved := c.Epoch() - before; moved != 3 { // and the one that held them up
		t.Errorf("the epoch moved by %d, want 3", moved)
	}
}

// A refused change takes nothing of its neighbours with it, and the refusal is for
// good: the name that it wanted is really taken.
func TestGroupKeepsRefusalsApart(t *testing.T) {
	c := newCrowd(t)
	one, err1 := c.issues("one")
	again, err2 := c.issues("one")
	two, err3 := c.issues("two")
	c.at(one, again, two)
	if *err1 != nil || *err3 != nil || !errors.Is(*err2, keys.ErrNameTaken) {
		t.Errorf("got %v, %v, %v, want only the second refused", *err1, *err2, *err3)
	}
	c.wantIssued("one", "two")
	if got := c.commits.Load(); got != 1 {
		t.Errorf("got %d commits, want 1", got)
	}
}

// A group in which all are refused commits nothing and moves no epoch.
func TestGroupOfRefused(t *testing.T) {
	c := newCrowd(t)
	before := c.Epoch()
	one, err1 := c.issues("victim")
	two, err2 := c.issues("victim")
	c.at(one, two)
	if !errors.Is(*err1, keys.ErrNameTaken) || !errors.Is(*err2, keys.ErrNameTaken) {
		t.Errorf("got %v and %v, want both refused", *err1, *err2)
	}
	c.wantIssued()
	if moved, commits := c.Epoch()-before, c.commits.Load(); moved != 1 || commits != 0 {
		t.Errorf("the epoch moved by %d after %d commits, want 1, for who held them up, and none", moved, commits)
	}
}

// A change that ends its goroutine, or panics, does so for its own caller, wherever
// in the group it stands, also as the first, who begins, and the last, who commits.
func TestGroupSurvivesPanics(t *testing.T) {
	for _, end := range []struct {
		how string
		now func()
	}{
		{"panic", func() { panic("in a change") }},
		{"Goexit", runtime.Goexit},
	} {
		t.Run(end.how, func(t *testing.T) {
			c := newCrowd(t)
			caught := make(chan any, 3)
			bad := func() {
				defer func() { caught <- recover() }()
				_, _ = c.Update(t.Context(), c.victim, func(*keys.Key) (keys.Event, error) {
					end.now()
					return keys.Event{}, nil
				})
			}
			one, err1 := c.issues("one")
			two, err2 := c.issues("two")
			c.at(bad, one, bad, two, bad)
			if *err1 != nil || *err2 != nil {
				t.Errorf("neighbours of a %s: got %v and %v, want success", end.how, *err1, *err2)
			}
			for range 3 {
				if got := <-caught; end.how == "panic" && got != "in a change" {
					t.Errorf("caught %v, want the panic of the change", got)
				}
			}
			c.wantIssued("one", "two")
			if got := c.commits.Load(); got != 1 {
				t.Errorf("got %d commits, want 1", got)
			}
		})
	}
}

// Nothing shows that a transaction was lost but a savepoint that is gone. Then no
// statement may follow in it, and all start afresh by themselves.
func TestGroupLosesItsTransaction(t *testing.T) {
	const when = ` AFTER INSERT ON main.keys WHEN NEW.name = 'poison' BEGIN SELECT `
	for how, trigger := range map[string]string{ // of the connection itself, and so of no other program
		"in a change":   `CREATE TEMP TRIGGER poison` + when + `RAISE(ROLLBACK, 'poisoned'); END`,
		"at the commit": `CREATE TEMP TRIGGER poison` + when + `poisoned(); END`,
	} {
		t.Run(how, func(t *testing.T) {
			c := newCrowd(t)
			c.driver(func(d *sqlite3.SQLiteConn) {
				poisoned := false
				if err := d.RegisterFunc("poisoned", func() int { poisoned = true; return 0 }, false); err != nil {
					t.Error(err)
				}
				d.RegisterCommitHook(func() int {
					if poisoned {
						poisoned = false
						return 1 // the commit becomes a rollback
					}
					return 0
				})
			})
			mustExec(t, c.Writer(), trigger)
			before := c.Epoch()
			one, err1 := c.issues("one")
			poison, err2 := c.issues("poison")
			two, err3 := c.issues("two")
			c.at(one, poison, two)
			if *err1 != nil || *err3 != nil {
				t.Errorf("neighbours: got %v and %v, want success", *err1, *err3)
			}
			if *err2 == nil {
				t.Errorf("poison: got no error")
			}
			c.wantIssued("one", "two")
			if moved := c.Epoch() - before; moved != 3 {
				t.Errorf("the epoch moved by %d, want 3: for each change of its own, and the one that held them up", moved)
			}
		})
	}
}

// A change that does not fit on the disk fails by itself. What still fits is made.
func TestGroupOnAFullDisk(t *testing.T) {
	c := newCrowd(t)
	fill, err := c.issues("fill")
	big, tooBig := c.issues("big", func(req *keys.IssueRequest) {
		for i := range 200 {
			req.Scopes = append(req.Scopes, strconv.Itoa(i)+strings.Repeat("x", 100))
		}
	})
	var pages int
	if err := c.Writer().QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	mustExec(t, c.Writer(), `PRAGMA max_page_count = `+strconv.Itoa(pages+3))
	revoke := func() { mustRevoke(t, c, c.victim) }
	c.at(fill, big, revoke)
	if *err != nil || !errors.Is(*tooBig, keys.ErrUnavailable) || !strings.Contains(fmt.Sprint(*tooBig), "disk is full") {
		t.Errorf("got %v for what fits, and for what does not %v, want the full disk named", *err, *tooBig)
	}
	if k, err := c.Key(t.Context(), c.victim); err != nil || k.RevokedAt.IsZero() {
		t.Errorf("Key: got %v, %v, want it revoked", k, err)
	}
}

// Who waits when the store is closed came before that, and is served.
func TestGroupIsServedBeforeClose(t *testing.T) {
	c := newCrowd(t)
	one, err1 := c.issues("one")
	two, err2 := c.issues("two")
	closed := make(chan error, 1)
	c.hold(func() { go func() { closed <- c.Close() }() }, one, two)
	if *err1 != nil || *err2 != nil {
		t.Errorf("waiting callers: got %v and %v, want success", *err1, *err2)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	c.Store = open(t, c.path)
	c.wantIssued("one", "two")
}

// All who wait while another process holds the database learn of it together, and
// not one after the other, each after the whole time that one waits for a lock.
func TestGroupFailsToBegin(t *testing.T) {
	c := newCrowd(t)
	mustExec(t, c.Writer(), `PRAGMA busy_timeout = 200`)
	db := shell(t, c.path)
	var callers []func()
	var ended []*error
	for i := range 30 {
		call, err := c.issues(strconv.Itoa(i))
		callers, ended = append(callers, call), append(ended, err)
	}
	c.onRollback(sync.OnceFunc(func() { mustExec(t, db, `BEGIN IMMEDIATE`) })) // when who holds them up is done
	began := time.Now()
	c.at(callers...)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a group that could not begin took %v to say so, and waits 200ms for the lock", took)
	}
	for _, err := range ended {
		if !errors.Is(*err, keys.ErrUnavailable) {
			t.Fatalf("Issue: got %v, want ErrUnavailable", *err)
		}
	}
	mustExec(t, db, `ROLLBACK`)
	c.wantIssued()
	issue(t, c, keys.IssueRequest{Name: "later"})
}

// Nothing is left running, neither while the store is idle nor after Close.
func TestGroupLeavesNoGoroutine(t *testing.T) {
	c := newCrowd(t)
	before := goleak.IgnoreCurrent()
	one, _ := c.issues("one")
	two, _ := c.issues("two")
	c.at(one, two)
	goleak.VerifyNone(t, before)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}
