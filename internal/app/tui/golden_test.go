package tui_test

import (
	"fmt"
	"image/color"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/exp/golden"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
)

var sizes = []struct{ width, height int }{{60, 16}, {80, 24}, {120, 40}, {200, 50}}

// views are the screens, each with the key presses that lead to it.
var views = []struct {
	name  string
	empty bool
	way   func(s *screen, v *valve)
}{
	{name: "table", way: func(s *screen, _ *valve) { s.press("down", "down") }},
	{name: "detail", way: func(s *screen, _ *valve) { s.press("down", "down", "enter") }},
	{name: "filter", way: func(s *screen, _ *valve) { s.press("/", "owner:plat !status:rev") }},
	{name: "form", way: func(s *screen, _ *valve) {
		s.press("n", "mobile", "enter", "team-x", "enter", "enter", "get_* search", "enter", "enter", "enter", "weather", "enter")
	}},
	{name: "form_error", way: func(s *screen, _ *valve) { s.press("n", "ci", "enter", "platform", "ctrl+s") }},
	{name: "secret", way: func(s *screen, _ *valve) { s.press("n", "mobile", "enter", "team-x", "ctrl+s") }},
	{name: "confirm", way: func(s *screen, _ *valve) { s.press("down", "down", "x") }},
	{name: "rotate", way: func(s *screen, _ *valve) { s.press("down", "down", "t") }},
	{name: "rotate_conflict", way: func(s *screen, v *valve) {
		s.press("down", "down")
		id := selectedID(s, v)
		s.press("t")
		if _, err := v.Manager.Rotate(s.t.Context(), id, admin.RotateRequest{}); err != nil {
			s.t.Fatal(err)
		}
		s.press("Y")
	}},
	{name: "rotated", way: func(s *screen, _ *valve) { s.press("down", "down", "t", "Y") }},
	{name: "disable", way: func(s *screen, _ *valve) { s.press("down", "down", "d") }},
	{name: "edit", way: func(s *screen, _ *valve) { s.press("down", "down", "e", "enter") }},
	{name: "edit_confirm", way: func(s *screen, _ *valve) {
		s.press("down", "down", "e", "ctrl+u", "desk", "enter", "ctrl+u", "enter", "ctrl+u", "get_* set_*", "enter", "enter", "enter", "ctrl+u", "enter", "ctrl+u", "never", "ctrl+s")
	}},
	{name: "audit", way: func(s *screen, v *valve) { auditStory(s, v); s.press("a"); s.press("down") }},
	{name: "audit_filter", way: func(s *screen, v *valve) { auditStory(s, v); s.press("a"); s.press("/", "Claude issue") }},
	{name: "audit_row", way: func(s *screen, v *valve) { auditStory(s, v); s.press("a"); s.press("down", "enter") }},
	{name: "audit_empty", empty: true, way: func(s *screen, _ *valve) { s.press("a") }},
	{name: "audit_denied", way: func(s *screen, v *valve) { v.auditErr = keys.ErrDenied; s.press("a") }},
	{name: "help", way: func(s *screen, _ *valve) { s.press("?") }},
	{name: "empty", empty: true, way: func(*screen, *valve) {}},
	{name: "error", way: func(s *screen, v *valve) {
		v.err = fmt.Errorf("%w: the file keys.db cannot be read", keys.ErrUnavailable)
		s.wait(9 * time.Second)
	}},
}

// Golden views; `go test ./internal/app/tui -run Golden -update` rewrites them.
func TestGolden(t *testing.T) {
	for _, view := range views {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s_%dx%d", view.name, size.width, size.height), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s, issued := reach(t, view.empty, size.width, size.height, view.way)
					fits(t, s.text(), size.width, size.height)
					got := normal(s.text(), issued)
					if secret := wholeToken.MatchString(got); secret != (view.name == "secret" || view.name == "rotated") {
						t.Errorf("a secret on the screen %s: got %v", view.name, secret)
					}
					golden.RequireEqual(t, got+"\n")
				})
			})
		}
	}
}

// One screen with its colours.
func TestGoldenStyled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, issued := reach(t, false, 80, 24, views[0].way)
		golden.RequireEqual(t, normal(s.model.View().Content, issued)+"\n")
	})
}

func reach(t *testing.T, empty bool, width, height int, way func(*screen, *valve)) (*screen, []admin.Issued) {
	m, store, _ := newStore(t)
	var issued []admin.Issued
	if !empty {
		issued = believable(t, m)
		inUse(t, store, issued)
	}
	v := &valve{Manager: m, log: store}
	s := open(t, v, width, height, &tui.Options{Store: "/var/lib/mcpkeys/keys.db"})
	s.wait(3 * time.Second)
	way(s, v)
	return s, issued
}

// cutID is an id that a dialog's frame covers except for its beginning.
var cutID = regexp.MustCompile(`(?m)^ id +[0-9A-Za-z]+│`)

// auditStory adds changes to the log.
func auditStory(s *screen, v *valve) {
	page, err := v.Manager.List(s.t.Context(), keys.Query{Name: "claude-desktop"})
	if err != nil {
		s.t.Fatal(err)
	}
	id := page.Keys[0].ID
	_, err = v.Manager.Edit(s.t.Context(), id, admin.EditRequest{
		Scopes: &[]string{"tools:get_*", "tools:set_alarm"}, Expires: new(keys.NeverExpires()), Owner: new("alice.b"),
	})
	if err == nil {
		_, err = v.Manager.Disable(s.t.Context(), id, "odd calls at night")
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

var requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// normal replaces random texts by fixed ones.
func normal(text string, issued []admin.Issued) string {
	if secret := wholeToken.FindString(text); secret != "" {
		text = strings.ReplaceAll(text, secret, secret[:5]+"Key000000000_"+strings.Repeat("x", 36))
		text = strings.ReplaceAll(text, secret[5:17], "Key000000000")
	}
	for i, one := range issued {
		text = strings.ReplaceAll(text, one.Key.ID, fmt.Sprintf("Key%09d", i+1))
	}
	text = cutID.ReplaceAllStringFunc(text, func(line string) string {
		bare := strings.TrimRight(line, "│")
		start := strings.LastIndex(bare, " ") + 1
		return bare[:start] + strings.Repeat("K", len(bare)-start) + "│"
	})
	text = requestID.ReplaceAllString(text, "0192aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// The theme follows the terminal's background. The text is the same with both.
func TestThemeFollowsTheBackground(t *testing.T) {
	for _, view := range views {
		bubble(t, func(t *testing.T) {
			s, _ := reach(t, view.empty, 80, 24, view.way)
			dark, text := s.model.View().Content, s.text()
			s.send(tea.BackgroundColorMsg{Color: color.White})
			if s.model.View().Content == dark {
				t.Errorf("%s: looks the same on a light terminal", view.name)
			}
			if s.text() != text {
				t.Errorf("%s: the text differs on a light terminal", view.name)
			}
		})
	}
}
