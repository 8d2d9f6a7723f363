package flight_test

import (
	"errors"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
)

// remembered lands f and returns what was remembered of it.
func remembered(g *flight.Group[string, int], key string, f *flight.Flight[int], result int, err error) (list []int) {
	f.Result, f.Err = result, err
	g.Land(key, f, func(r int) { list = append(list, r) })
	return list
}

// What asks for the same shares a flight; what asks for something else, or comes later,
// has another.
func TestJoin(t *testing.T) {
	var g flight.Group[string, int]
	f, began := g.Join("a")
	second, beganToo := g.Join("a")
	other, beganOther := g.Join("b")
	if !began || beganToo || second != f || !beganOther || other == f {
		t.Errorf("Join: got began %v, %v, %v, same flight %v", began, beganToo, beganOther, second == f)
	}
	if got := remembered(&g, "a", f, 7, nil); len(got) != 1 || got[0] != 7 {
		t.Errorf("Land: remembered %v, want 7", got)
	}
	if err := second.Wait(t.Context()); err != nil || second.Result != 7 {
		t.Errorf("Wait: got %d, %v, want 7", second.Result, err)
	}
	if _, began := g.Join("a"); !began {
		t.Error("Join after the flight had landed: joined it")
	}
}

// A17. A flight that a change marked is not remembered, and no caller joins it any more. The
// flight that replaces it is remembered, whichever of the two lands first.
func TestA17MarkedFlight(t *testing.T) {
	for _, all := range []bool{false, true} {
		for _, oldFirst := range []bool{false, true} {
			var g flight.Group[string, int]
			old, _ := g.Join("a")
			if all {
				g.Mark(true)
			} else {
				g.Mark(false, "b", "a")
			}
			fresh, began := g.Join("a")
			if !began || fresh == old {
				t.Fatal("a marked flight was joined")
			}
			if oldFirst {
				if got := remembered(&g, "a", old, 1, nil); len(got) != 0 {
					t.Errorf("a marked flight is remembered: %v", got)
				}
			}
			if got := remembered(&g, "a", fresh, 2, nil); len(got) != 1 {
				t.Errorf("the flight after it is not remembered")
			}
			if !oldFirst {
				if got := remembered(&g, "a", old, 1, nil); len(got) != 0 {
					t.Errorf("a marked flight is remembered: %v", got)
				}
			}
		}
	}
}

func TestMarkOfAnother(t *testing.T) {
	var g flight.Group[string, int]
	f, _ := g.Join("a")
	g.Mark(false, "b")
	if got := remembered(&g, "a", f, 1, nil); len(got) != 1 {
		t.Error("the change of another key kept a flight from being remembered")
	}
}

// A flight that failed, or that panicked before it could say anything, leaves nothing
// behind but its error.
func TestFailedFlight(t *testing.T) {
	var g flight.Group[string, int]
	f, _ := g.Join("a")
	if got := remembered(&g, "a", f, 1, errors.New("no")); len(got) != 0 {
		t.Errorf("a failed flight is remembered: %v", got)
	}
	f, _ = g.Join("a")
	func() {
		defer func() { _ = recover() }()
		defer g.Land("a", f, func(int) { t.Error("a flight that panicked is remembered") })
		panic("driver")
	}()
	if err := f.Wait(t.Context()); err != nil || !errors.Is(f.Err, keys.ErrUnavailable) {
		t.Errorf("got %v and %v, want an error that says unavailable", err, f.Err)
	}
}

// A17. A flight covers what was announced before it noted the epoch, and nothing later.
func TestA17Covers(t *testing.T) {
	var g flight.Group[string, int]
	f, _ := g.Join("a")
	f.Noted = 5
	if !f.Covers(4) || !f.Covers(5) || f.Covers(6) {
		t.Errorf("noted 5: covers 4, 5, 6: got %v, %v, %v", f.Covers(4), f.Covers(5), f.Covers(6))
	}
}
