package tui_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// inForm are the labels of the edit form, in its order.
var inForm = []string{"name", "owner", "tools", "prompts", "scopes", "audience", "expires", "rate"}

// fill types text into one field of the edit form; the cursor must be in the first.
func (s *screen) fill(label, text string) {
	for _, other := range inForm {
		if other == label {
			break
		}
		s.press("tab")
	}
	s.press("ctrl+u", text)
}

// Each field alone: the saved key differs in that field only, and nothing is saved before Yes.
func TestEditSendsOnlyWhatChanged(t *testing.T) {
	for _, tc := range []struct {
		label, text, shows string
		want               func(k *keys.Key, now time.Time)
	}{
		{"name", "desk", "claude-desktop → desk", func(k *keys.Key, _ time.Time) { k.Name = "desk" }},
		{"owner", "", "alice → -", func(k *keys.Key, _ time.Time) { k.Owner = "" }},
		{"tools", "set_*", "−tools:get_* +tools:set_*", func(k *keys.Key, _ time.Time) { k.Scopes = append([]string{"tools:set_*"}, k.Scopes[1:]...) }},
		{"prompts", "", "−prompts:daily_briefing", func(k *keys.Key, _ time.Time) { k.Scopes = []string{k.Scopes[0], k.Scopes[2]} }},
		{"scopes", "", "−resources:file%3A%2F%2F%2Freports%2F*", func(k *keys.Key, _ time.Time) { k.Scopes = k.Scopes[:2] }},
		{"audience", "weather mail", "+mail", func(k *keys.Key, _ time.Time) { k.Audience = []string{"weather", "mail"} }},
		{"expires", "30d", "2000-03-31 03:00 → 2000-01-31 06:01", func(k *keys.Key, now time.Time) { k.ExpiresAt = now.Add(30 * 24 * time.Hour).UTC() }},
		{"expires", "never", "2000-03-31 03:00 → never", func(k *keys.Key, _ time.Time) { k.ExpiresAt = time.Time{} }},
		{"rate", "", "60/m:10 → unlimited", func(k *keys.Key, _ time.Time) { k.RateLimit = keys.RateLimit{} }},
	} {
		t.Run(tc.label+" "+tc.text, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, v, all := team(t)
				want := mustKey(t, v, all[3].Key.ID)
				s.press("down", "down", "e")
				s.wants("Edit the key alice/claude-desktop", "ctrl+s save")
				s.fill(tc.label, tc.text)
				s.press("ctrl+s")
				s.wants("Save these changes?", tc.shows, "[No]")
				if v.changes != 0 {
					t.Fatalf("%d changes before the yes", v.changes)
				}
				tc.want(want, time.Now().Add(time.Second)) // press waits that long before Y
				s.press("Y")
				s.wants("changed ")
				got := mustKey(t, v, want.ID)
				want.Version++
				if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreFields(keys.Key{}, "Seal")); diff != "" {
					t.Errorf("after the edit (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// No at the question returns to the form, which keeps the typed texts.
func TestEditIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, _ := team(t)
		s.press("e")
		s.fill("name", "builds")
		s.press("ctrl+s", "enter")
		s.lacks("Save these changes?")
		s.wants("Edit the key platform/ci", "builds")
		s.press("esc")
		s.lacks("Edit the key", "builds")
		s.press("e", "ctrl+s")
		s.wants("nothing to save")
		if v.changes != 0 {
			t.Errorf("%d changes without a yes", v.changes)
		}
	})
}

func TestEditSpeaksTheDomainsWords(t *testing.T) {
	for _, tc := range []struct{ label, text, want string }{
		{"name", "", "name: is required"},
		{"scopes", "a::b", "two colons in a row"},
		{"expires", "", "expires: is empty"},
		{"expires", "1999-01-01", "is in the past"},
		{"rate", "fast", "rate_limit: must be a count per time"},
	} {
		t.Run(tc.label, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, v, _ := team(t)
				s.press("e")
				s.fill(tc.label, tc.text)
				s.press("ctrl+s")
				s.wants("Edit the key", tc.want)
				if v.changes != 0 {
					t.Errorf("a form with a fault reached the manager: %d changes", v.changes)
				}
			})
		})
	}
}

// An error of the store is shown in the dialog, and the form keeps the typed texts.
func TestEditToATakenName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _ := team(t)
		s.press("e")
		s.fill("name", "root")
		s.press("ctrl+s", "Y")
		s.wants("Save these changes?", "already has an unrevoked key")
		s.press("esc")
		s.wants("Edit the key platform/ci", "root")
	})
}

// Another user changes the key while it is in the form: their change is not overwritten unseen.
// The form shows it with the user's own changes on top, and nothing is saved until the user
// says yes again.
func TestEditMeetsAnotherEdit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		id := all[5].Key.ID
		s.press("e")
		s.fill("name", "builds")
		if _, err := v.Manager.Edit(t.Context(), id, admin.EditRequest{Owner: new("infra"), Audience: &[]string{"mail"}}); err != nil {
			t.Fatal(err)
		}
		s.press("ctrl+s", "Y")
		s.lacks("Save these changes?")
		s.wants("Edit the key infra/ci", "another user changed this key", "builds", "infra", "mail")
		if k := mustKey(t, v, id); k.Name != "ci" || k.Version != 2 {
			t.Fatalf("saved over another user's change: got %q at version %d", k.Name, k.Version)
		}
		s.press("ctrl+s")
		s.wants("Save these changes?", "ci → builds")
		s.lacks("│ owner ", "│ audience ")
		s.press("Y")
		k := mustKey(t, v, id)
		if k.Name != "builds" || k.Owner != "infra" || !cmp.Equal(k.Audience, []string{"mail"}) {
			t.Errorf("after both edits: %+v", k)
		}
	})
}

// An expired key can be edited, whatever its expiry; a revoked one cannot.
func TestEditOfDeadKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, _ := team(t)
		s.press("end", "e")
		s.wants("platform/old-ci was revoked", "which is final")
		s.lacks("Edit the key")
		short := mustIssue(t, v.Manager, admin.IssueRequest{Name: "brief", Expires: days(t, "1m")})
		s.wait(time.Minute)
		s.wait(3 * time.Second)
		s.press("/", "name:brief", "enter", "e")
		s.fill("owner", "alice")
		s.press("enter", "ctrl+s", "Y")
		if k := mustKey(t, v, short.Key.ID); k.Owner != "alice" {
			t.Errorf("after the edit: owner %q", k.Owner)
		}
	})
}

// The buttons stay visible, however many changes there are and however small the screen is.
func TestEditOfEverythingFits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 60, 16, nil)
		s.press("down", "down", "e")
		for _, text := range []string{"a-rather-long-name-for-a-key-that-has-to-be-cut", "b", "", "", "", "", "never", ""} {
			s.press("ctrl+u", text, "tab")
		}
		s.press("ctrl+s")
		s.wants("Save these changes?", "[No]    Yes, save", "60/m:10 → unlimited")
		fits(t, s.text(), 60, 16)
	})
}

// The form of an admin key has no kind, so it stays an admin key.
func TestEditOfAnAdminKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, v, all := team(t)
		s.press("down", "down", "down", "e")
		s.wants("Edit the admin key platform/root")
		s.lacks("kind ")
		s.fill("scopes", "keys:read")
		s.press("ctrl+s", "Y")
		if k := mustKey(t, v, all[2].Key.ID); k.Kind != keys.KindAdmin || !cmp.Equal(k.Scopes, []string{keys.ScopeKeysRead}) {
			t.Errorf("after the edit: %s %v", k.Kind, k.Scopes)
		}
	})
}
