package tui_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// withSecret issues a key and opens its secret's screen.
func withSecret(t *testing.T) (*screen, string) {
	m, _, _ := newStore(t)
	s := open(t, m, 80, 24, nil)
	s.press("n", "ci", "ctrl+s")
	return s, s.secret()
}

func TestSecretIsCopied(t *testing.T) {
	for _, name := range []string{"c", "y"} {
		bubble(t, func(t *testing.T) {
			s, secret := withSecret(t)
			s.press(name)
			if s.clipboard != secret {
				t.Errorf("%s: the clipboard does not hold the secret", name)
			}
			s.wants("Sent to the clipboard", secret)
		})
	}
}

// The secret is shown once: afterwards no string, input or wrapped Secret of the model holds
// it, and no key brings it back.
func TestSecretIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, secret := withSecret(t)
		if held := secretsIn(reflect.ValueOf(s.model), secret, map[uintptr]bool{}); len(held) == 0 {
			t.Fatal("the walk does not find the secret while it is shown")
		}
		s.press("c")
		s.clipboard = ""
		s.press("ok")
		s.lacks(secret, secret[18:])
		if held := secretsIn(reflect.ValueOf(s.model), secret[18:48], map[uintptr]bool{}); len(held) > 0 {
			t.Errorf("the model still holds the secret: %q", held)
		}
		for _, name := range []string{"c", "enter", "esc", "/", "up", "esc", "n", "esc", "?", "esc", "y"} {
			s.press(name)
			s.lacks(secret[18:])
		}
		if strings.Contains(s.clipboard, secret[18:]) {
			t.Error("y copies the secret after its screen was left")
		}
	})
}

// Holding enter down sends it thirty times a second: that must not issue the key and also leave
// its secret's screen.
func TestSecretIsNotLeftByAccident(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, secret := withSecret(t)
		for range 90 {
			s.press("enter")
			s.wait(33 * time.Millisecond)
		}
		s.wants(secret)
		for _, name := range []string{"q", "esc", "n", "x", "o", "o", "space", "ctrl+c"} {
			s.press(name)
			s.wait(time.Second)
			s.wants(secret)
		}
		if s.quit {
			t.Error("one ctrl+c left the program")
		}
		s.press("enter")
		s.wait(time.Second)
		s.press("x") // cancels the first press
		s.wait(time.Second)
		s.press("enter")
		s.wants(secret, "Have you stored it?")
	})
}

// An enter that was meant for the form and arrives late does not count.
func TestSecretIgnoresTheFormsLastEnter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, secret := withSecret(t)
		s.press("enter")
		s.lacks("Have you stored it?")
		s.wait(time.Second)
		s.press("enter")
		s.wants(secret, "Have you stored it?")
	})
}

func TestSecretIsLeftOnPurpose(t *testing.T) {
	for _, tc := range []struct {
		keys []string
		quit bool
	}{
		{keys: []string{"enter", "enter"}},
		{keys: []string{"o", "k"}},
		{keys: []string{"x", "o", "k"}},
		{keys: []string{"ctrl+c", "ctrl+c"}, quit: true},
		{keys: []string{"enter", "ctrl+c", "ctrl+c"}, quit: true},
	} {
		t.Run(strings.Join(tc.keys, "-"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, secret := withSecret(t)
				for _, name := range tc.keys {
					s.wants(secret)
					s.wait(time.Second)
					s.press(name)
				}
				s.lacks(secret)
				if s.quit != tc.quit {
					t.Errorf("%v: left the program: got %v", tc.keys, s.quit)
				}
			})
		})
	}
}

// A terminal that becomes too small neither loses the secret nor shows half of it, and keys
// pressed then do not leave its screen.
func TestSecretSurvivesASmallTerminal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, secret := withSecret(t)
		s.send(tea.WindowSizeMsg{Width: 30, Height: 8})
		s.lacks(secret[18:30])
		s.wants("c copies")
		s.wait(time.Second)
		s.press("enter")
		s.wait(time.Second)
		s.press("enter", "ok", "c")
		if s.clipboard != secret {
			t.Error("c on the small card: the clipboard does not hold the secret")
		}
		s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
		s.wants(secret)
	})
}

// Only on the secret's screen the terminal has the mouse, to select text.
func TestMouseIsTheTerminalsWhileASecretShows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := withSecret(t)
		if got := s.model.View().MouseMode; got != tea.MouseModeNone {
			t.Errorf("mouse mode on the secret's screen: got %v", got)
		}
		s.press("ok")
		if got := s.model.View().MouseMode; got != tea.MouseModeCellMotion {
			t.Errorf("mouse mode on the list: got %v", got)
		}
		s.press("m")
		if got := s.model.View().MouseMode; got != tea.MouseModeNone {
			t.Errorf("mouse mode after m: got %v", got)
		}
	})
}

func TestEveryScreenIsOnTheAlternateScreen(t *testing.T) {
	for _, view := range views {
		bubble(t, func(t *testing.T) {
			s, _ := reach(t, view.empty, 80, 24, view.way)
			v := s.model.View()
			if !v.AltScreen || v.WindowTitle != "mcpkeys" {
				t.Errorf("%s: alternate screen %v, title %q", view.name, v.AltScreen, v.WindowTitle)
			}
		})
	}
}

// A23. A secret that is pasted or typed into any field is masked as soon as it can be
// recognized, is not kept, and never reaches the store.
func TestSecretInTheWrongFieldIsMasked(t *testing.T) {
	secret := keys.NewToken(keys.KindKey).Secret().Reveal()
	for _, tc := range []struct {
		name string
		way  []string
	}{
		{"filter", []string{"/"}},
		{"name", []string{"n"}},
		{"owner", []string{"n", "ci", "enter"}},
		{"scopes", []string{"n", "ci", "enter", "enter", "enter", "enter", "enter"}},
		{"audience", []string{"n", "ci", "enter", "enter", "enter", "enter", "enter", "enter"}},
		{"rate", []string{"n", "ci", "enter", "enter", "enter", "enter", "enter", "enter", "enter", "enter"}},
		{"reason", []string{"x", "r"}},
		{"reason of a disable", []string{"d", "r"}},
		{"edited name", []string{"e", "ctrl+u"}},
		{"edited tools", []string{"e", "enter", "enter", "ctrl+u"}},
		{"edited expiry", []string{"e", "enter", "enter", "enter", "enter", "enter", "enter", "ctrl+u"}},
		{"grace", []string{"t", "g", "ctrl+u"}},
	} {
		for _, typed := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					m, store, _ := newStore(t)
					all := believable(t, m)
					v := &valve{Manager: m}
					s := open(t, v, 120, 40, nil)
					s.press(tc.way...)
					if typed {
						s.press(secret)
					} else {
						s.send(tea.PasteMsg{Content: secret})
						s.settle()
					}
					s.lacks(secret[18:30], base64.StdEncoding.EncodeToString([]byte(secret))[:20])
					s.press("enter", "ctrl+s", "Y")
					s.lacks(secret[18:30])
					if v.changes != 0 {
						t.Errorf("the manager was asked for %d changes with a secret in them", v.changes)
					}
					events, err := store.Events(t.Context(), 0, 100)
					if err != nil || len(events) != len(all)+1 {
						t.Errorf("the store was changed: %d events, %v", len(events), err)
					}
				})
			})
		}
	}
}

// A complete key in the filter finds its record by the id.
func TestWholeKeyInTheFilterFindsItsKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		all := believable(t, m)
		s := open(t, m, 120, 40, nil)
		s.press("/")
		s.send(tea.PasteMsg{Content: all[3].Token.Reveal()})
		s.settle()
		s.wants("looks like a secret")
		s.press("enter")
		s.wants("/"+all[3].Key.ID, "1 of 6", "claude-desktop")
		s.lacks("nightly")
		if held := secretsIn(reflect.ValueOf(s.model), all[3].Token.Reveal()[18:48], map[uintptr]bool{}); len(held) > 0 {
			t.Errorf("the filter keeps the secret: %q", held)
		}
		s.press("/", "esc")
		s.wants("nightly")
	})
}

// secretsIn walks all values that v refers to, except the manager, and reports the secrets it
// finds.
func secretsIn(v reflect.Value, secret string, seen map[uintptr]bool) (found []string) {
	if v.IsValid() && v.Type() == reflect.TypeFor[admin.Manager]() {
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		if strings.Contains(v.String(), secret) {
			found = append(found, "a string")
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && seen[v.Pointer()] {
			return nil
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		return secretsIn(v.Elem(), secret, seen)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[keys.Secret]() && !v.Field(0).IsNil() {
			return []string{"a keys.Secret"}
		}
		for i := range v.NumField() {
			for _, f := range secretsIn(v.Field(i), secret, seen) {
				found = append(found, v.Type().Field(i).Name+": "+f)
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Int32 { // runes of an input
			var text strings.Builder
			for i := range v.Len() {
				text.WriteRune(rune(v.Index(i).Int()))
			}
			if strings.Contains(text.String(), secret) {
				return []string{"runes"}
			}
			return nil
		}
		for i := range v.Len() {
			found = append(found, secretsIn(v.Index(i), secret, seen)...)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			found = append(found, secretsIn(v.MapIndex(k), secret, seen)...)
		}
	}
	return found
}
