package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// selectedID is the id of the key whose row has the arrow.
func selectedID(s *screen, v *valve) string {
	s.t.Helper()
	page, err := v.Manager.List(s.t.Context(), keys.Query{})
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.SplitSeq(s.text(), "\n") {
		for _, k := range page.Keys {
			if strings.Contains(line, "▸") && strings.Contains(line, " "+k.Name+" ") {
				return k.ID
			}
		}
	}
	s.t.Fatalf("no row is selected:\n%s", s.text())
	return ""
}

// team is a dashboard on a realistic store.
func team(t *testing.T) (*screen, *valve, []admin.Issued) {
	m, store, _ := newStore(t)
	all := believable(t, m)
	v := &valve{Manager: m, log: store}
	return open(t, v, 80, 24, nil), v, all
}

func mustKey(t *testing.T, m admin.Manager, id string) *keys.Key {
	t.Helper()
	k, err := m.Key(t.Context(), id)
	if err != nil {
		t.Fatalf("Key(%s): %v", id, err)
	}
	return k
}

// A key is rotated, its new secret is shown once as for a new key, and the old one is valid for
// a day.
func TestRotate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("t")
		s.wants("Rotate this key?", "platform/ci", "grace    24h", "[No]", "Y rotate", "g grace")
		if v.changes != 0 {
			t.Fatalf("asking changed something: %d", v.changes)
		}
		s.press("Y")
		s.wants("Rotated the key platform/ci", "old one  valid until 2000-01-02 06:01 UTC (in 24h)", "c copies it")
		secret := s.secret()
		s.press("c")
		if s.clipboard != secret {
			t.Error("c: the clipboard does not hold the new secret")
		}
		token, err := keys.ParseToken(secret)
		k := mustKey(t, v, all[5].Key.ID)
		if err != nil || token.ID() != k.ID || len(k.Secrets) != 2 {
			t.Fatalf("after the rotation: token %v, %d secrets", err, len(k.Secrets))
		}
		if got := k.Secrets[0].ExpiresAt.Sub(k.Secrets[1].CreatedAt); got != admin.DefaultGrace {
			t.Errorf("the old secret is good for %v, want %v", got, admin.DefaultGrace)
		}
		s.wait(time.Second)
		s.press("o", "k")
		s.lacks(secret)
		s.wants("rotated platform/ci", "▸ ● active    ci")
	})
}

func TestRotateWithAnotherGrace(t *testing.T) {
	for _, tc := range []struct {
		text  string
		grace time.Duration
		says  string
	}{
		{"7d", 7 * 24 * time.Hour, "valid for the grace"},
		{"0", 0, "clients that still use it are refused"},
		{"", admin.DefaultGrace, "valid for the grace"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, v, all := team(t)
				s.press("t", "g", "ctrl+u", tc.text, "enter")
				s.wants(tc.says)
				s.press("Y")
				s.wants("Rotated the key")
				k := mustKey(t, v, all[5].Key.ID)
				if tc.grace == 0 {
					s.wants("old one  ended")
					if len(k.Secrets) != 1 {
						t.Errorf("after grace 0: %d secrets", len(k.Secrets))
					}
					return
				}
				if got := k.Secrets[0].ExpiresAt.Sub(k.Secrets[1].CreatedAt); got != tc.grace {
					t.Errorf("the old secret is good for %v, want %v", got, tc.grace)
				}
			})
		})
	}
}

func TestGraceSpeaksTheDomainsWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, _ := team(t)
		s.press("t", "g", "ctrl+u", "soon", "enter")
		s.wants("grace: must be a duration")
		s.press("Y")
		s.wants("Rotate this key?", "grace: must be a duration")
		if v.changes != 0 {
			t.Errorf("a grace that will not do reached the manager: %d changes", v.changes)
		}
	})
}

// A second rotation while two secrets are valid: the dialog says by number what each choice
// ends, and f alone ends nothing.
func TestB1RotationUnderWayIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("t")
		s.lacks("f finish")
		s.press("f")
		s.wants("Rotate this key?")
		s.press("Y")
		s.wait(time.Second)
		s.press("o", "k")
		s.press("t")
		s.wants("Replace the newest secret?", "secrets 1 and 2 are", "Secret 1 ends", "ends secret 2 now", "f finish", "Y replace", "[No]")
		s.wait(time.Second)
		s.press("f")
		s.wants("Finish the rotation?", "valid until 2000-01-02", "[No]")
		if k := mustKey(t, v, all[5].Key.ID); len(k.Secrets) != 2 {
			t.Fatalf("f alone finished it: %d secrets", len(k.Secrets))
		}
		s.press("Y")
		s.wants("finished the rotation of platform/ci")
		if k := mustKey(t, v, all[5].Key.ID); len(k.Secrets) != 1 || k.Secrets[0].Number != 2 {
			t.Errorf("after the finish: %+v", k.Secrets)
		}
	})
}

// The newest secret was lost: the dialog replaces it, and the old one stays.
func TestB1RotationUnderWayIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("t", "Y")
		s.wait(time.Second)
		s.press("o", "k", "t", "Y")
		s.wants("Rotated the key platform/ci", "old one  valid until 2000-01-02")
		if k := mustKey(t, v, all[5].Key.ID); len(k.Secrets) != 2 || k.Secrets[0].Number != 1 || k.Secrets[1].Number != 3 {
			t.Errorf("after replacing: %+v", k.Secrets)
		}
	})
}

// Another user rotates the key while the dialog is open: the conflict is shown, neither secret
// ends, and f is offered although the dialog did not know of the rotation.
func TestRotationBySomebodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("p", "t")
		if _, err := v.Manager.Rotate(t.Context(), all[5].Key.ID, admin.RotateRequest{}); err != nil {
			t.Fatal(err)
		}
		s.press("Y")
		s.wants("this key has two valid secrets", "finishes it)", "f finish")
		s.press("Y")
		s.wants("this key has two valid secrets")
		if k := mustKey(t, v, all[5].Key.ID); len(k.Secrets) != 2 || k.Secrets[1].Number != 2 {
			t.Errorf("after the conflicts: %+v", k.Secrets)
		}
	})
}

// d disables an active key and enables a disabled one.
func TestDisableAndEnable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		id := all[5].Key.ID
		s.wants("d disable")
		s.press("d")
		s.wants("Disable this key?", "platform/ci", "[No]", "Y disable", "r reason")
		s.press("r", "odd calls", "enter", "Y")
		s.wants("◌ disabled  ci", "disabled platform/ci", "d enable")
		k := mustKey(t, v, id)
		if k.Status(time.Now()) != keys.StatusDisabled {
			t.Fatalf("after y: %s", k.Status(time.Now()))
		}
		events, err := v.log.Events(t.Context(), 0, 100)
		if err != nil || !strings.Contains(fmt.Sprint(events[len(events)-1]), "odd calls") {
			t.Errorf("the reason is not in the audit log: %v", err)
		}
		s.press("d")
		s.wants("Enable this key?", "[No]", "Y enable")
		s.lacks("reason")
		s.press("tab", "tab", "enter") // yes, and no again
		s.lacks("Enable this key?")
		s.wants("◌ disabled  ci")
		s.press("d", "right", "enter")
		s.wants("● active    ci", "enabled platform/ci")
		if k := mustKey(t, v, id); !k.DisabledAt.IsZero() {
			t.Error("the key is still disabled")
		}
	})
}

func TestEveryDialogDefaultsToNo(t *testing.T) {
	for _, open := range []string{"t", "d", "x"} {
		for _, answer := range [][]string{{"enter"}, {"n"}, {"esc"}, {"right", "left", "enter"}, {"q", "enter"}, {"tab", "tab", "Y", "enter", "esc"}} {
			t.Run(open+"-"+strings.Join(answer, "-"), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s, v, _ := team(t)
					s.press(open)
					s.wants("this key?")
					s.press(answer...)
					s.lacks("this key?")
					if v.changes != 0 {
						t.Errorf("%d changes without a yes", v.changes)
					}
				})
			})
		}
	}
}

// A revoked or expired key gets one line, and no dialog.
func TestDeadKeysAreNotAskedAbout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("end")
		for _, name := range []string{"t", "d"} {
			s.press(name)
			s.wants("platform/old-ci was revoked", "which is final")
			s.lacks("this key?")
		}
		if _, err := v.Manager.Disable(t.Context(), all[5].Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		s.press("g", "r")
		s.press("t")
		s.wants("platform/ci is disabled: enable it first (d)")
		s.lacks("this key?")
		short := mustIssue(t, v.Manager, admin.IssueRequest{Name: "brief", Expires: days(t, "1m")})
		s.wait(time.Minute)
		s.wait(3 * time.Second)
		s.press("/", "name:"+short.Key.Name, "enter", "t")
		s.wants("brief has expired: issue a new key (n)")
		s.press("d")
		s.wants("brief has expired")
		s.lacks("this key?")
		if v.changes != 0 {
			t.Errorf("%d changes", v.changes)
		}
	})
}

func TestAFailedDialogStays(t *testing.T) {
	for open, question := range map[string]string{"t": "Rotate this key?", "d": "Disable this key?"} {
		bubble(t, func(t *testing.T) {
			s, v, _ := team(t)
			s.press(open)
			v.err = fmt.Errorf("%w: busy", keys.ErrUnavailable)
			s.press("Y")
			s.wants(question, "the key store is unavailable: busy")
			v.err = nil
			s.press("Y")
			s.lacks(question)
		})
	}
}
