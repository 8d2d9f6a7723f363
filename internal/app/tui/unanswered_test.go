package tui_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// slow is a real manager whose changes are made at once and answered when the test says so.
type slow struct {
	admin.Manager
	answer chan struct{}
	err    error // instead of the answer

	everywhere time.Time // from when on a change is in effect, instead of the store's moment
}

func (s *slow) Issue(ctx context.Context, req admin.IssueRequest) (admin.Issued, error) {
	issued, err := s.Manager.Issue(ctx, req)
	<-s.answer
	if s.err != nil {
		return admin.Issued{}, s.err
	}
	return issued, err
}

func (s *slow) Rotate(ctx context.Context, id string, req admin.RotateRequest) (admin.Issued, error) {
	issued, err := s.Manager.Rotate(ctx, id, req)
	<-s.answer
	return issued, err
}

func (s *slow) Revoke(ctx context.Context, id, reason string) (*keys.Key, error) {
	k, err := s.Manager.Revoke(ctx, id, reason)
	<-s.answer
	if !s.everywhere.IsZero() {
		store.WaitFrom(ctx).Everywhere = s.everywhere
	}
	return k, cmp.Or(s.err, err)
}

func (s *slow) Disable(ctx context.Context, id, reason string) (*keys.Key, error) {
	k, err := s.Manager.Disable(ctx, id, reason)
	<-s.answer
	return k, err
}

func slowly(t *testing.T) (*screen, *slow) {
	m, _, _ := newStore(t)
	mustIssue(t, m, admin.IssueRequest{Name: "ci"})
	v := &slow{Manager: m, answer: make(chan struct{})}
	t.Cleanup(func() { close(v.answer) })
	return open(t, v, 80, 24, nil), v
}

// The loss: ctrl+c while a key was rotated left at once, and the new secret was never shown.
// The first press waits for it.
func TestInterruptWaitsForTheSecret(t *testing.T) {
	for name, keysPressed := range map[string][]string{"rotate": {"t", "Y"}, "replace": {"t", "Y"}, "issue": {"n", "new", "ctrl+s"}} {
		bubble(t, func(t *testing.T) {
			s, v := slowly(t)
			if name == "replace" {
				if _, err := v.Manager.Rotate(t.Context(), selectedID(s, &valve{Manager: v.Manager}), admin.RotateRequest{}); err != nil {
					t.Fatal(err)
				}
				s.press("r")
				s.press("t")
				s.wants("Replace the newest secret?")
				s.press("esc")
			}
			s.press(keysPressed...)
			s.press("ctrl+c")
			if s.quit {
				t.Fatalf("%s: ctrl+c left before the answer", name)
			}
			s.wants("Waiting for the new secret. If you press ctrl+c again, it is lost.")
			s.press("ctrl+c") // a key held down is one press
			if s.quit {
				t.Fatalf("%s: a second ctrl+c at once left", name)
			}
			v.answer <- struct{}{}
			s.settle()
			s.secret()
			s.wants("Have you stored it? Press ctrl+c again to quit")
			s.wait(time.Second)
			s.press("ctrl+c")
			if !s.quit || s.model.Left() != nil {
				t.Errorf("%s: after the secret was shown: quit %v, %v", name, s.quit, s.model.Left())
			}
		})
	}
}

// A user who leaves anyway is told which key may have changed.
func TestInterruptTwiceNamesTheKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := slowly(t)
		s.press("t", "Y")
		s.press("ctrl+c")
		s.wait(time.Second)
		s.press("ctrl+c")
		var left *tui.UnansweredError
		if !s.quit || !errors.As(s.model.Left(), &left) {
			t.Fatalf("quit %v, %v, want an UnansweredError", s.quit, s.model.Left())
		}
		for _, want := range []string{"key ci (", ") may have been rotated", "its new secret is lost"} {
			if !strings.Contains(left.Error(), want) {
				t.Errorf("got %q, want %q in it", left, want)
			}
		}
	})
}

// A change without a secret: the first press leaves once the answer arrives. An error is shown
// first; then ctrl+c leaves at once.
func TestInterruptWaitsForTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		s.press("x", "Y")
		s.press("ctrl+c")
		s.wants("Waiting for the answer. Press ctrl+c again to leave without it.")
		v.answer <- struct{}{}
		s.settle()
		if !s.quit || s.model.Left() != nil {
			t.Errorf("after the answer: quit %v, %v, want to leave and nothing to say", s.quit, s.model.Left())
		}
	})
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		v.err = keys.ErrNameTaken
		s.press("n", "new", "ctrl+s")
		s.press("ctrl+c")
		v.answer <- struct{}{}
		s.settle()
		if s.quit {
			t.Error("an error after ctrl+c: left without showing it")
		}
		s.press("ctrl+c")
		if !s.quit || s.model.Left() != nil {
			t.Errorf("ctrl+c with nothing under way: quit %v, %v", s.quit, s.model.Left())
		}
	})
}

// The loss: y copied an id in the list and said yes in a dialog, so that x and y in quick
// succession revoked a key permanently. Yes is another key now, and counts only after the
// question could be read.
func TestABurstChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		mustIssue(t, m, admin.IssueRequest{Name: "ci"})
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		for _, open := range []string{"x", "t", "d"} {
			for _, yes := range []string{"y", "Y", "f"} {
				for _, letter := range open + yes {
					s.send(tea.KeyPressMsg{Code: letter, Text: string(letter)})
				}
				s.settle()
				if v.changes != 0 {
					t.Fatalf("%s%s in one burst changed a key", open, yes)
				}
				s.press("esc")
				s.press("esc")
			}
		}
		s.press("x")
		s.wait(time.Second)
		s.press("y")
		if v.changes != 0 {
			t.Error("y said yes")
		}
		s.press("Y")
		if v.changes != 1 {
			t.Error("Y did not say yes")
		}
	})
}

// extreme fills a store with the longest texts that a key may have, including wide characters.
func extreme(t *testing.T) *admin.Local {
	m, _, _ := newStore(t)
	wide, long := strings.Repeat("漢", keys.MaxText), strings.Repeat("m", keys.MaxText)
	scopes := []string{"tools:" + strings.Repeat("a", 900)}
	for range 40 {
		scopes = append(scopes, "tools:"+strings.Repeat("get_", len(scopes)))
	}
	for _, req := range []admin.IssueRequest{
		{Name: long, Owner: long, Scopes: scopes, Audience: []string{"https://" + strings.Repeat("a", 120)}, Metadata: map[string]string{long[:60]: long}},
		{Name: wide, Owner: wide, Scopes: []string{"*"}},
		{Name: "x", Owner: wide, Expires: keys.NeverExpires()},
		{Name: wide[:3*60] + " " + long[:60], Kind: keys.KindAdmin},
		{Name: "gone", Owner: long},
	} {
		issued := mustIssue(t, m, req)
		if req.Name == "gone" {
			if _, err := m.Revoke(t.Context(), issued.Key.ID, wide); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// The crash: a valid key whose name and owner have 128 characters ended the dashboard with a
// slice out of range, in a dialog on a small screen. Random key presses on such keys, at every
// size, draw no line past an edge and do not panic.
func TestExtremeKeysFitEverySize(t *testing.T) {
	pressed := []string{
		"down", "up", "end", "enter", "esc", "x", "t", "d", "e", "n", "a", "?", "/", "tab", "right", "left", "space", "r", "f",
		"ctrl+s", "ctrl+u", "pgdown", "y", "Y", "o", "k", "q", "漢漢漢", "status:active", "2d", "p", "m", "g", "G",
	}
	for seed := range uint64(30) {
		bubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 9))
			s := open(t, extreme(t), 60, 16, &tui.Options{Store: strings.Repeat("/long", 40)})
			for range 60 {
				width, height := 60+random.IntN(80), 16+random.IntN(30)
				if random.IntN(2) == 0 {
					width, height = 60, 16
				}
				s.send(tea.WindowSizeMsg{Width: width, Height: height})
				s.press(pressed[random.IntN(len(pressed))])
				fits(t, s.text(), width, height)
				if t.Failed() {
					t.Fatalf("seed %d:\n%s", seed, s.text())
				}
			}
			s.settle()
		})
	}
}

// On the smallest screen each dialog shows its buttons, however long the key's name is.
func TestDialogsOfExtremeKeysShowTheirButtons(t *testing.T) {
	for _, open60 := range []string{"x", "t", "d"} {
		for row := range 4 {
			bubble(t, func(t *testing.T) {
				s := open(t, extreme(t), 60, 16, nil)
				for range row {
					s.press("down")
				}
				s.press(open60)
				if strings.Contains(s.text(), "this key?") {
					s.wants("[No]", "Yes, ")
				}
				s.settle()
			})
		}
	}
}

// A change that waits for guards on other hosts says so, once the wait can be noticed, and then
// from when on it is in effect.
func TestWaitShows(t *testing.T) {
	const waits = "Waiting until every guard knows (2.1s at most)"
	for _, tc := range []struct{ press, doing, done string }{
		{"x", "revoking…", "revoked ci"},
		{"d", "disabling…", "disabled ci"},
	} {
		bubble(t, func(t *testing.T) {
			s, v := slowly(t)
			s.press(tc.press, "Y")
			s.wants(tc.doing)
			s.lacks(waits) // a guard that answers needs some milliseconds
			s.wait(time.Second)
			s.wants(tc.doing, waits, "esc")
			s.lacks("Yes,") // the answer was given
			s.send(tea.WindowSizeMsg{Width: 60, Height: 16})
			s.wants(waits)
			s.wait(3 * time.Second)
			s.wants("Waiting for the answer")
			s.lacks(waits)
			s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
			v.answer <- struct{}{}
			s.settle()
			s.wants(tc.done + ", in effect everywhere (waited 4s)")
		})
	}
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		s.press("x", "Y")
		v.answer <- struct{}{}
		s.settle()
		s.wants("revoked ci, in effect everywhere")
		s.lacks("(waited")
	})
}

// A program that asked the verification API may keep its answer for longer: the message names
// the moment.
func TestEffectLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		v.everywhere = time.Now().Add(40 * time.Second)
		s.press("x", "Y")
		v.answer <- struct{}{}
		s.settle()
		s.wants("revoked ci, in effect everywhere at 00:00:40 (in 39s)")
	})
}

// Esc leaves the question while a change waits. The change continues, and its answer is shown on
// any screen. Until then no other change is sent.
func TestEscWhileAChangeWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		s.wait(time.Second) // keys of the same moment would be in the order of their random ids
		mustIssue(t, v.Manager, admin.IssueRequest{Name: "nightly"})
		s.press("r")
		s.press("x", "Y")
		s.wait(time.Second)
		s.press("esc")
		s.lacks("Revoke this key?")
		s.wants("revoking ci… Waiting until every guard knows (2.1s at most)")
		s.press("up", "x", "Y")
		s.wants("the change of ci is not answered yet; wait for it")
		s.press("esc", "n", "new", "ctrl+s")
		s.wants("the change of ci is not answered yet; wait for it")
		s.press("esc")
		s.press("q")
		if s.quit {
			t.Fatal("q left before the answer")
		}
		s.wants("Waiting for the answer. Press ctrl+c again to leave without it.")
		v.answer <- struct{}{}
		s.settle()
		if !s.quit || s.model.Left() != nil {
			t.Errorf("after the answer: quit %v, %v, want to leave and nothing to say", s.quit, s.model.Left())
		}
	})
	bubble(t, func(t *testing.T) {
		s, v := slowly(t)
		v.err = keys.ErrConflict
		s.press("x", "Y", "esc", "a")
		v.answer <- struct{}{}
		s.settle()
		s.wants("✗ revoking ci: ")
		s.press("esc")
		s.lacks("Revoke this key?")
	})
}
