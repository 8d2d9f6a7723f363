package tui_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A key is issued, its secret is valid, it is found by the filter, revoked, and shown as
// revoked.
func TestIssueFilterRevoke(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 80, 24, nil)
		s.press("n", "mobile", "enter", "team-x", "enter", "enter", "get_* search", "enter", "daily", "enter", "reports:read", "enter", "weather", "enter", "enter", "60/m", "enter")
		s.wants("Issued the key team-x/mobile", "keyctl verify -")
		token, err := keys.ParseToken(s.secret())
		if err != nil {
			t.Fatal(err)
		}
		k, err := m.Key(t.Context(), token.ID())
		if err != nil || store.Peppers().Verify(k, token.Secret()) == nil {
			t.Fatalf("the secret on the screen is not the key's: %v", err)
		}
		want := []string{"tools:get_*", "tools:search", "prompts:daily", "reports:read"}
		if diff := cmp.Diff(want, k.Scopes); diff != "" || k.RateLimit.String() != "60/m" || k.ExpiresAt.Sub(k.CreatedAt) != keys.DefaultLife {
			t.Errorf("the issued key: got %+v; scopes (-want +got):\n%s", k, diff)
		}

		s.wait(time.Second)
		s.press("o", "k")
		s.wants("▸ ● active    mobile")
		s.press("/", "mobile", "enter")
		s.wants("1 of 7")
		s.press("x")
		s.wants("Revoke this key?", "team-x/mobile", "[No]")
		s.press("r", "phone lost", "enter", "Y")
		s.wants("✗ revoked   mobile", "phone lost")
		k, err = m.Key(t.Context(), token.ID())
		if err != nil || k.RevokedReason != "phone lost" || k.Status(time.Now()) != keys.StatusRevoked {
			t.Errorf("after y: got %+v, %v", k, err)
		}
		s.press("x")
		s.wants("was revoked now; nothing to do")
	})
}

// Over a slow line, letters arrive right after the enter before them. They belong to the next
// field, and none may go to the field before.
func TestTypeAheadLandsInTheRightField(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		s := open(t, m, 80, 24, nil)
		for _, name := range []string{"n", "ci", "enter", "team-x", "enter", "right", "left", "enter", "get_*", "ctrl+s"} {
			if msg, ok := named(name); ok {
				s.send(msg)
				continue
			}
			for _, r := range name {
				s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
		s.settle()
		s.wants("Issued the key team-x/ci")
	})
}

func TestFormSpeaksTheDomainsWords(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys []string
		want string
	}{
		{"no name", []string{"enter"}, "name: is required"},
		{"a name like an id", []string{"abcdefghijkl", "enter"}, "has the shape of a key id"},
		{"owner", []string{"ci", "enter", "x ", "enter"}, "owner: must not begin or end with a space"},
		{"scope", []string{"ci", "enter", "enter", "enter", "enter", "enter", "a::b", "enter"}, "two colons in a row"},
		{"audience", []string{"ci", "enter", "enter", "enter", "enter", "enter", "enter", "enter", "x", "enter"}, "must be a duration"},
		{"expired", []string{"ci", "enter", "enter", "enter", "enter", "enter", "enter", "enter", "ctrl+u", "1999-01-01", "enter"}, "is in the past"},
		{"rate", []string{"ci", "enter", "enter", "enter", "enter", "enter", "enter", "enter", "enter", "fast", "enter"}, "rate_limit: must be a count per time"},
		{"admin with tools", []string{"ci", "enter", "enter", "right", "enter", "get_*", "enter"}, "of an admin key must be among"},
		{"taken", []string{"ci", "enter", "platform", "ctrl+s"}, "already has an unrevoked key with that name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, _, _ := newStore(t)
				all := believable(t, m)
				s := open(t, m, 120, 40, nil)
				s.press("n")
				s.press(tc.keys...)
				s.wants("Issue a key", tc.want)
				page, err := m.List(t.Context(), keys.Query{})
				if err != nil || len(page.Keys) != len(all) {
					t.Errorf("a form with a fault changed the store: %d keys, %v", len(page.Keys), err)
				}
			})
		})
	}
}

func TestAFailedIssueKeepsWhatWasTyped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		v.err = fmt.Errorf("%w: disk full", keys.ErrUnavailable)
		s.press("n", "ci", "enter", "team-x", "ctrl+s")
		s.wants("disk full", "ci", "team-x")
		v.err = nil
		s.press("ctrl+s")
		s.wants("Issued the key team-x/ci")
	})
}

func TestAdminKeysAreMadeToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		s := open(t, m, 80, 24, nil)
		s.press("n", "root", "enter", "enter", "space", "ctrl+s")
		s.wants("Issued the admin key root")
		if token, err := keys.ParseToken(s.secret()); err != nil || token.Kind() != keys.KindAdmin {
			t.Errorf("the secret: kind %q, %v", token.Kind(), err)
		}
	})
}

func TestPresetsAndEsc(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		s := open(t, m, 80, 24, nil)
		s.press("n", "ci", "tab", "tab", "tab", "tab", "tab", "tab", "tab", "space")
		s.wants("365d", "(in 365d)")
		s.press("space")
		s.wants("never", "it never expires")
		s.press("esc")
		s.lacks("Issue a key")
		s.wants("No keys yet: press n")
	})
}

func TestRevokeDefaultsToNo(t *testing.T) {
	for _, keysPressed := range [][]string{{"enter"}, {"n"}, {"esc"}, {"right", "left", "enter"}, {"r", "why", "esc"}, {"q", "enter"}, {"tab", "tab", "Y", "enter", "enter"}} {
		t.Run(strings.Join(keysPressed, "-"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, _, _ := newStore(t)
				believable(t, m)
				s := open(t, m, 80, 24, nil)
				s.press("x")
				s.press(keysPressed...)
				s.lacks("Revoke this key?", "✗ revoked   ci")
			})
		})
	}
}

func TestRevokeByButtonAndAfterAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		s.press("x", "right")
		s.wants("[Yes, revoke]")
		v.err = fmt.Errorf("%w: busy", keys.ErrUnavailable)
		s.press("enter")
		s.wants("Revoke this key?", "the key store is unavailable: busy")
		v.err = nil
		s.press("Y")
		s.wants("✗ revoked   ci", "revoked platform/ci")
	})
}

// Another user revokes the key while the dialog is open: revoking it again changes nothing, and
// the first reason stays.
func TestRevokeIsIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		all := believable(t, m)
		s := open(t, m, 80, 24, nil)
		s.press("x")
		if _, err := m.Revoke(t.Context(), all[5].Key.ID, "theirs"); err != nil {
			t.Fatal(err)
		}
		s.press("Y")
		s.wants("✗ revoked   ci", "theirs")
	})
}

func TestReadOnlyChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 80, 24, &tui.Options{ReadOnly: true})
		s.wants("read-only")
		s.lacks("new key", "revoke ")
		s.lacks("e edit", "t rotate", "d disable")
		s.press("n")
		s.lacks("Issue a key")
		for _, name := range []string{"n", "e", "t", "d", "x"} {
			s.wait(5 * time.Second)
			s.press(name)
			s.wants("read-only: started with --read-only")
			s.lacks("this key?", "Edit the key", "Issue a key")
		}
		s.press("enter", "x")
		s.lacks("Revoke this key?")
		s.press("esc", "?")
		s.lacks("new key")
	})
}

// An admin key that may only read is told so at once, not after the form is filled in. Before
// the server answers, nothing is refused.
func TestKeyThatMayOnlyLook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		asked := 0
		s := open(t, m, 80, 24, &tui.Options{MayChange: func(context.Context) (bool, error) {
			if asked++; asked == 1 {
				return false, keys.ErrUnavailable
			}
			return false, nil
		}})
		s.wants("e edit")
		s.lacks("read-only")
		s.wait(3 * time.Second)
		s.wants("read-only")
		s.lacks("new key", "e edit", "t rotate", "d disable", "x revoke")
		for _, name := range []string{"n", "e", "t", "d", "x"} {
			s.wait(5 * time.Second)
			s.lacks("keys:write")
			s.press(name)
			s.wants("your admin key cannot change keys: it lacks the scope keys:write")
			s.lacks("this key?", "Edit the key", "Issue a key")
		}
		if asked != 2 {
			t.Errorf("asked %d times, want until the answer came", asked)
		}
	})
}

func TestErrorsOfTheStoreAreShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 80, 24, nil)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		s.wait(3 * time.Second)
		s.wants("✗ the key store is unavailable", "r tries now", "nightly-report") // the old list stays
	})
}
