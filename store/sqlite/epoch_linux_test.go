package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A program that opens and closes the store all the time keeps no file mapped.
func TestCloseUnmapsTheEpoch(t *testing.T) {
	const closed = 200
	path := create(t)
	for range closed {
		r, err := sqlite.OpenVerifier(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const patience = 100 // of rounds; a mapping is released after the collection that found it unused
	left := 0
	for range patience {
		runtime.GC()
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		if left = bytes.Count(maps, []byte(path+"-epoch")); left == 0 {
			return
		}
	}
	t.Errorf("%d mappings are left of %d that were closed", left, closed)
}

// A writer wakes the readers that wait, and so does a store that is closed: they
// do not look by themselves before an hour is over. Many changes, because a reader that has not
// begun to sleep yet hears of one in another way.
func TestWriterWakesReaders(t *testing.T) {
	const changes = 100
	path := create(t)
	s := open(t, path)
	r := openVerifier(t, path)
	r.SleepLong(time.Hour)
	from, told := r.Epoch(), make(chan struct{})
	go func() {
		for range changes + 1 {
			for r.Epoch() == from {
				r.Wait(context.Background(), from)
			}
			from = r.Epoch()
			told <- struct{}{}
		}
	}()
	hears := func(what string) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(time.Minute):
			t.Fatalf("%s: the reader still sleeps", what)
		}
	}
	for i := range changes {
		issue(t, s, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		hears("a change")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	hears("the end of the store")
}

// A page that is given up while readers sleep on it ends their waiting, and the store can be closed.
func TestLostPageWakesReaders(t *testing.T) {
	path := create(t)
	for range 50 {
		r := openVerifier(t, path)
		r.SleepLong(time.Hour)
		from, over := r.Epoch(), make(chan struct{})
		go func() {
			for r.Epoch() == from {
				r.Wait(context.Background(), from)
			}
			close(over)
		}()
		for !r.Sleeps() {
			runtime.Gosched()
		}
		r.Distrust()
		select {
		case <-over:
		case <-time.After(time.Minute):
			t.Fatal("a reader still sleeps")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
