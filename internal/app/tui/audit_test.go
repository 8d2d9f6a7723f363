package tui_test

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	_ "github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
)

// New rows appear without a key press, and the selection stays with its row; at the top it
// stays at the top.
func TestAuditComesByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		for _, name := range []string{"first", "second"} {
			mustIssue(t, m, admin.IssueRequest{Name: name})
		}
		s := open(t, m, 120, 30, nil)
		s.press("a")
		s.wants("Audit log, newest first", "2 rows", "▸ 2000-01-01 00:00  issue    second")
		mustIssue(t, m, admin.IssueRequest{Name: "third"})
		s.wait(3 * time.Second)
		s.wants("3 rows", "▸ 2000-01-01 00:00  issue    third")
		s.press("down")
		s.wants("▸ 2000-01-01 00:00  issue    second")
		mustIssue(t, m, admin.IssueRequest{Name: "fourth"})
		s.wait(3 * time.Second)
		s.wants("4 rows", "▸ 2000-01-01 00:00  issue    second", "issue    fourth")
		s.press("enter")
		s.wants("issue second", "row      2", "by       local:test(1)", "AFTER")
		s.press("esc")
		s.wants("▸ 2000-01-01 00:00  issue    second")
		s.press("esc")
		s.wants("STATUS")
		s.lacks("Audit log")
	})
}

func TestAuditFilterAndDetail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, _ := newStore(t)
		issued := believable(t, m)
		v := &valve{Manager: m, log: store}
		s := open(t, v, 120, 30, nil)
		auditStory(s, v)
		s.press("a")
		s.press("/", "alarm")
		s.wants("1 of 9", "edit     alice.b/claude")
		s.press("enter", "enter")
		s.wants("edit alice.b/claude-desktop", "key id   "+issued[3].Key.ID, "BEFORE", "AFTER", "tools:set_alarm", "expires", "never", "›")
		s.press("esc")
		s.wants("/alarm", "esc clears")
		s.press("esc")
		s.wants("9 rows")
		s.press("/", issued[0].Token.Reveal())
		s.lacks(issued[0].Token.Reveal()[18:40])
		s.wants("looks like a secret")
		s.press("enter")
		s.wants("/" + issued[0].Key.ID)
		s.press("esc", "?")
		s.wants("audit log")
		s.press("esc")
		s.wants("Audit log")
		s.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
		s.wants("▸ 2000-01-01 04:00")
		s.press("esc", "a", "q")
		s.wants("STATUS")
		if s.quit {
			t.Error("q in the audit log quits the program")
		}
	})
}

// An admin key without audit:read gets a sentence, and a store that cannot be read shows its
// error; both say how to go back, and the second how to try again.
func TestAuditThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, store, _ := newStore(t)
		mustIssue(t, m, admin.IssueRequest{Name: "ci"})
		v := &valve{Manager: m, log: store, auditErr: keys.ErrDenied}
		s := open(t, v, 80, 24, &tui.Options{})
		s.press("a")
		s.wants("Your admin key cannot read the audit log: it lacks the scope audit:read")
		v.auditErr = errors.New("disk gone \x1b[2J")
		s.press("r")
		s.wants("disk gone", "r tries again")
		v.auditErr = nil
		s.press("r")
		s.wants("1 row", "issue")
		s.press("esc")
		s.wants("STATUS")
	})
}

// A28. The attack: control sequences written into the log with a database shell.
func TestA28AuditScreenIsClean(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, path := newStore(t)
		mustIssue(t, m, admin.IssueRequest{Name: "ci"})
		db, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(`UPDATE audit SET actor = char(27) || '[2J' || char(155), action = char(27) || ']0;x', request_id = char(8238),
			detail = replace(detail, '"ci"', '"c\u001b[31m' || char(155) || 'i"')`)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		s := open(t, m, 120, 30, nil)
		for _, names := range [][]string{{"a"}, {"enter"}} {
			s.press(names...)
			// The program's own sequences are colours; without them only text is left.
			if text := s.text(); strings.ContainsAny(text, "\x1b\u009b\u202e") || strings.Contains(s.model.View().Content, "[2J") && !strings.Contains(text, "[2J") {
				t.Errorf("%v: the screen holds a control sequence:\n%q", names, text)
			}
		}
		s.wants("[2J")
	})
}

// Only the newest rows are held, however long the log is.
func TestAuditIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		for i := range 1010 {
			mustIssue(t, m, admin.IssueRequest{Name: "key " + strconv.Itoa(i)})
		}
		s := open(t, m, 120, 30, nil)
		s.press("a")
		s.wants("the newest 1000 rows; keyctl audit shows all", "key 1009")
		s.press("G")
		s.wants("key 10 ")
		mustIssue(t, m, admin.IssueRequest{Name: "one more"})
		s.wait(3 * time.Second)
		s.press("g")
		s.wants("one more")
	})
}
