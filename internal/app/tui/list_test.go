package tui_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	_ "github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

func TestFilter(t *testing.T) {
	for _, tc := range []struct{ typed, want string }{
		{"", "ci laptop claude-desktop root nightly-report old-ci"},
		{"deskt", "claude-desktop"}, // longer than a text that an id contains by chance
		{"DESKT", "claude-desktop"},
		{"platform", "ci root old-ci"},
		{"platform name:ci", "ci old-ci"},
		{"platform get_forecast", "old-ci"},
		{"get_forecast", "nightly-report old-ci"},
		{"tools:get_*", "ci claude-desktop"},
		{"status:expiring", "nightly-report"},
		{"status:exp", "nightly-report"},
		{"owner:alice", "claude-desktop"},
		{"kind:admin", "root"},
		{"!status:revoked platform", "ci root"},
		{"audience:weather", "ci claude-desktop nightly-report"},
		{"scope:prompts", "claude-desktop"},
		{"name:o", "laptop claude-desktop root nightly-report old-ci"},
		{"!", "ci laptop claude-desktop root nightly-report old-ci"},
		{"%", "claude-desktop"},
		{"missing", ""},
	} {
		t.Run(tc.typed, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, _, _ := newStore(t)
				believable(t, m)
				s := open(t, m, 79, 24, nil)
				s.press("/", tc.typed)
				if got := names(s); got != tc.want {
					t.Errorf("filter %q: got %q, want %q", tc.typed, got, tc.want)
				}
				if tc.typed != "" && tc.typed != "!" {
					s.wants(fmt.Sprintf("%d of 6", len(strings.Fields(tc.want))))
				}
				s.press("esc")
				if got := names(s); len(strings.Fields(got)) != 6 {
					t.Errorf("after esc: got %q, want all six", got)
				}
			})
		})
	}
}

// names are the names in the list, from the top.
func names(s *screen) string {
	var out []string
	for line := range strings.Lines(s.text()) {
		fields := strings.Fields(strings.TrimPrefix(line, "▸"))
		if len(fields) > 2 && strings.Contains("●◐○◌✗", fields[0]) {
			out = append(out, fields[2])
		}
	}
	return strings.Join(out, " ")
}

func TestFilterSaysThatNothingFits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 80, 24, nil)
		s.press("/", "missing", "enter")
		s.wants("No matching keys", "esc clears it", "0 of 6")
		s.press("x", "Y", "enter", "pgdown", "end", "up") // no key is selected
		s.lacks("Revoke this key?")
		s.press("esc")
		s.wants("▸ ● active    ci")
	})
}

// The selection is a key, not a row: a key issued elsewhere moves the rows down, and x must
// still revoke the selected key.
func TestSelectionStaysWithItsKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 80, 24, nil)
		s.press("down", "down")
		s.wants("▸ ● active    claude-desktop")
		mustIssue(t, m, admin.IssueRequest{Name: "newcomer"})
		s.wait(3 * time.Second)
		s.wants("newcomer", "▸ ● active    claude-desktop")
		s.press("/", "root", "esc")
		s.wants("▸ ● active    claude-desktop")
		s.press("x")
		s.wants("alice/claude-desktop")
	})
}

func TestAllPagesAreRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		for i := range 23 {
			mustIssue(t, m, admin.IssueRequest{Name: fmt.Sprintf("key-%02d", i)})
			time.Sleep(time.Second)
		}
		v := &valve{Manager: m, page: 4}
		s := open(t, v, 80, 24, nil)
		s.wants("23 keys", "key-22")
		s.press("end")
		s.wants("▸ ● active    key-00")
		before := v.lists
		s.wait(3 * time.Second)
		s.wants("23 keys", "▸ ● active    key-00")
		if v.lists-before != 6 {
			t.Errorf("a refresh of 23 keys by 4: got %d pages, want 6", v.lists-before)
		}
	})
}

func TestRefreshPauseAndAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		mustIssue(t, m, admin.IssueRequest{Name: "seen-soon"})
		s.wait(3 * time.Second)
		s.wants("seen-soon")
		s.press("p")
		mustIssue(t, m, admin.IssueRequest{Name: "seen-later"})
		s.wait(9 * time.Second)
		s.lacks("seen-later")
		s.wants("paused", "updated 10s ago")
		s.press("r")
		s.wants("seen-later", "updated now")
		s.press("p")
		s.lacks("paused")
	})
}

// A store that fails is asked less and less often, its error is shown, and the first answer
// removes the banner.
func TestFailuresBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		v.err, v.lists = fmt.Errorf("%w: disk\x1b[31m gone", keys.ErrUnavailable), 0
		s.wait(2 * time.Minute)
		s.wants("the key store is unavailable", "r tries now", "claude-desktop")
		s.lacks("\x1b")
		if v.lists != 7 { // after 2, 4, 8, 16, 32, 62 and 92 seconds
			t.Errorf("tries in two minutes of failure: got %d, want 7", v.lists)
		}
		v.err = nil
		s.press("r")
		s.lacks("unavailable")
		s.wants("updated now")
	})
}

// A read that began before a key was revoked ends after it: its result is old and must not show
// the key as active again.
func TestOldReadingIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		v := &valve{Manager: m}
		s := open(t, v, 80, 24, nil)
		old, fresh := make(chan struct{}), make(chan struct{})
		v.hold = map[int]chan struct{}{v.lists + 1: old, v.lists + 2: fresh}
		s.press("r")
		s.press("x", "Y")
		s.wants("✗ revoked   ci")
		close(old)
		s.settle()
		s.wants("✗ revoked   ci")
		close(fresh)
		s.settle()
		s.wants("✗ revoked   ci")
	})
}

func TestFirstReadingFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		v := &valve{Manager: m, err: keys.ErrUnavailable}
		s := open(t, v, 80, 24, nil)
		s.wants("No keys could be read yet", "the key store is unavailable")
		s.lacks("No keys yet")
		v.err = nil
		s.wait(3 * time.Second)
		s.wants("No keys yet: press n")
	})
}

// A scope was added with a database shell: the detail must mark the key as tampered and not
// present the forged scopes as granted.
func TestTamperedKeyIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, path := newStore(t)
		all := believable(t, m)
		db, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(t.Context(), `UPDATE keys SET scopes = '["*"]' WHERE name = 'ci'`); err != nil {
			t.Fatal(err)
		}
		for _, size := range sizes {
			s := open(t, m, size.width, size.height, nil)
			s.wants("▸ ! changed ")
			if size.width < 80 {
				s.press("enter")
			}
			s.wants("CHANGED OUTSIDE MCPKEYS")
			s.press("down")
			if size.width >= 80 {
				s.lacks("CHANGED OUTSIDE")
			}
		}
		s := open(t, m, 80, 24, nil)
		for _, name := range []string{"t", "d", "e"} { // a tampered key cannot be changed
			s.press(name)
			s.wants("was changed outside mcpkeys: revoke it (x)")
			s.lacks("this key?")
		}
		s.press("x", "Y") // but it can be revoked
		s.wants("✗ revoked   ci")
		s.lacks("! changed")
		if k, err := m.Key(t.Context(), all[5].Key.ID); err != nil || k.Status(time.Now()) != keys.StatusRevoked {
			t.Errorf("after revoking the tampered key: %v, %v", k, err)
		}
	})
}

// Text from a row edited by hand must not reach the terminal as escape sequences.
func TestHostileTextIsDefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, path := newStore(t)
		believable(t, m)
		db, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		hostile := "\x1b]0;owned\x07\x1b[2J\u202egnp.exe"
		if _, err := db.ExecContext(t.Context(), `UPDATE keys SET owner = ? WHERE name = 'ci'`, hostile); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", "enter", "x"} {
			s := open(t, m, 120, 40, nil)
			s.press(name)
			if view := s.model.View().Content; strings.Contains(view, "\x1b]") || strings.Contains(view, "\x1b[2J") || strings.Contains(view, "\u202e") {
				t.Errorf("after %q hostile text is on the screen", name)
			}
		}
	})
}

func TestMouseSelects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 120, 40, nil)
		s.send(tea.MouseClickMsg{X: 10, Y: 4, Button: tea.MouseLeft})
		s.wants("▸ ● active    claude-desktop")
		s.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
		s.wants("▸ ✗ revoked   old-ci")
		s.send(tea.MouseWheelMsg{Button: tea.MouseWheelUp})
		s.wants("▸ ● active    claude-desktop")
		for _, away := range []tea.MouseClickMsg{{X: 10, Y: 0}, {X: 10, Y: 30}, {X: 110, Y: 2}} {
			away.Button = tea.MouseLeft
			s.send(away)
			s.wants("▸ ● active    claude-desktop")
		}
		s.press("x")
		s.send(tea.MouseClickMsg{X: 10, Y: 2, Button: tea.MouseLeft})
		s.wants("alice/claude-desktop", "Revoke this key?")
		s.settle()
	})
}

func TestDetailScrolls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		var scopes []string
		for i := range 60 {
			scopes = append(scopes, fmt.Sprintf("tools:tool_%02d", i))
		}
		mustIssue(t, m, admin.IssueRequest{Name: "broad", Scopes: scopes})
		s := open(t, m, 80, 24, nil)
		s.wants("enter shows all")
		s.press("enter")
		s.wants("tools:tool_00", "↓ shows more")
		s.press("pgdown", "pgdown", "pgdown", "pgdown", "pgdown")
		s.wants("tools:tool_59", "version")
		s.press("esc", "y")
		if !keys.ValidID(s.clipboard) {
			t.Errorf("y: the clipboard holds %q, want an id", s.clipboard)
		}
	})
}

// The usage cannot be read: no key is called unused, and everything else works.
func TestUnknownUseIsNotNever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, path := newStore(t)
		inUse(t, store, believable(t, m))
		if err := os.Remove(path + ".usage"); err != nil {
			t.Fatal(err)
		}
		s := open(t, m, 200, 50, nil)
		s.wants("LAST USED", "claude-desktop", " ?  ")
		for _, line := range strings.Split(s.text(), "\n") {
			if strings.Contains(line, "claude-desktop") && strings.Contains(line, "never") || strings.Contains(line, "│ used") {
				t.Errorf("says more of its use than is known: %q", line)
			}
		}
	})
}

// TestA28AgentReachesNoTerminal: a client's User-Agent, written into the usage file with a
// database shell, would colour the dashboard and set its title.
func TestA28AgentReachesNoTerminal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, path := newStore(t)
		inUse(t, store, believable(t, m))
		db, err := sql.Open("sqlite3", "file:"+path+".usage")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`UPDATE last_used SET agent = char(27) || ']0;owned' || char(7), client_ip = '::1%' || char(27) || '[2J'`); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, m, 200, 50, nil)
		s.press("down", "down")
		s.wants("used     2000")
		if content := s.model.View().Content; strings.Contains(content, "owned") || strings.Contains(content, "\x1b[2J") || strings.Contains(content, "\a") {
			t.Errorf("planted text reached the screen:\n%q", content)
		}
	})
}
