package restapi_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

// asker takes turns with a word each, as a request with one Idempotency-Key would.
type asker struct {
	t       *testing.T
	replays restapi.Replays
	now     time.Time
}

func (a *asker) take(word string, asked restapi.Asked) (restapi.Turn, error) {
	a.t.Helper()
	return a.replays.Take(restapi.OnceWith(word), asked, a.now)
}

func (a *asker) done(word string, asked restapi.Asked) bool {
	a.t.Helper()
	turn, err := a.take(word, asked)
	if err != nil {
		a.t.Fatalf("Take(%q): %v", word, err)
	}
	id, done := turn.Done()
	if done && id != "abcdefghijkl" {
		a.t.Errorf("Take(%q): got key %q", word, id)
	}
	if !done {
		turn.End(&keys.Key{ID: "abcdefghijkl"})
	}
	return done
}

// A request is the same as another if everything about it is.
func TestReplaysTellRequestsApart(t *testing.T) {
	a := &asker{t: t, now: time.Unix(0, 0)}
	asked := restapi.Asked{Caller: "c", Verb: "rotate", ID: "k", Body: "x"}
	if a.done("w", asked) || !a.done("w", asked) {
		t.Error("the same request: want it done the second time")
	}
	for name, other := range map[string]restapi.Asked{
		"caller": {Caller: "cr", Verb: "otate", ID: "k", Body: "x"},
		"verb":   {Caller: "c", Verb: "revoke", ID: "k", Body: "x"},
		"key":    {Caller: "c", Verb: "rotate", ID: "kk", Body: "x"},
	} {
		if a.done("w", other) {
			t.Errorf("another %s: got done, want another request", name)
		}
	}
	asked.Body = "y"
	var invalid *keys.InvalidError
	if _, err := a.take("w", asked); !errors.As(err, &invalid) {
		t.Errorf("another body: got %v, want an InvalidError", err)
	}
}

// Who fails frees the word, also while others ask; who is under way keeps it.
func TestReplaysUnderWay(t *testing.T) {
	a := &asker{t: t, now: time.Unix(0, 0)}
	first, err := a.take("w", restapi.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.take("w", restapi.Asked{}); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("while the same is under way: got %v, want ErrConflict", err)
	}
	first.End(nil)
	second, err := a.take("w", restapi.Asked{})
	if err != nil {
		t.Fatalf("after a failure: %v", err)
	}
	first.End(nil) // late, and no longer his to free
	if _, err := a.take("w", restapi.Asked{}); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("while the second is under way: got %v, want ErrConflict", err)
	}
	second.End(&keys.Key{ID: "abcdefghijkl"})
	if !a.done("w", restapi.Asked{}) {
		t.Error("after success: want it done")
	}
}

// TestA22ReplaysAreBounded: somebody sends a new Idempotency-Key with every request. The
// memory stays small: old words go, after a day or when there are too many.
func TestA22ReplaysAreBounded(t *testing.T) {
	a := &asker{t: t, now: time.Unix(0, 0)}
	a.done("early", restapi.Asked{})
	a.now = a.now.Add(24*time.Hour - 1)
	if !a.done("early", restapi.Asked{}) {
		t.Error("within a day: got forgotten")
	}
	a.now = a.now.Add(1)
	if a.done("early", restapi.Asked{}) {
		t.Error("after a day: got remembered")
	}
	for i := range 3 * restapi.MaxReplays {
		a.done(strconv.Itoa(i), restapi.Asked{})
	}
	if n := a.replays.Len(); n > restapi.MaxReplays {
		t.Errorf("got %d records, want at most %d", n, restapi.MaxReplays)
	}
	if !a.done(strconv.Itoa(3*restapi.MaxReplays-1), restapi.Asked{}) || a.done("0", restapi.Asked{}) {
		t.Error("want the newest remembered and the oldest forgotten")
	}
}
