package tui_test

import (
	"cmp"
	"context"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/tui"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// screen stands for the program and the user, in a synctest bubble: commands run as goroutines,
// and the clock stops until a test advances it.
type screen struct {
	t         testing.TB
	model     *tui.Model
	msgs      chan tea.Msg
	clipboard string
	quit      bool
}

// open shows a dashboard on m and lets it read the keys.
func open(t testing.TB, m admin.Manager, width, height int, o *tui.Options) *screen {
	t.Helper()
	if o == nil {
		o = &tui.Options{}
	}
	o.Zone = time.UTC
	s := &screen{t: t, model: tui.New(m, o), msgs: make(chan tea.Msg, 4096)}
	s.run(s.model.Init())
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	s.settle()
	return s
}

func (s *screen) run(cmd tea.Cmd) {
	if cmd != nil {
		go func() { s.msgs <- cmd() }()
	}
}

// send delivers a message as the program would, including batches, the clipboard and quit.
func (s *screen) send(msg tea.Msg) {
	v := reflect.ValueOf(msg)
	switch {
	case msg == nil:
		return
	case v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[tea.Cmd]():
		for i := range v.Len() {
			s.run(v.Index(i).Interface().(tea.Cmd))
		}
		return
	case v.Type().Name() == "setClipboardMsg":
		s.clipboard = v.String()
		return
	}
	if _, end := msg.(tea.QuitMsg); end {
		s.quit = true
	}
	_, cmd := s.model.Update(msg)
	s.run(cmd)
}

// settle waits until nothing more happens without the clock.
func (s *screen) settle() {
	for {
		synctest.Wait()
		select {
		case msg := <-s.msgs:
			s.send(msg)
		default:
			return
		}
	}
}

// wait advances the clock by a second at a time, with the dashboard's ticks.
func (s *screen) wait(d time.Duration) {
	for d > 0 {
		step := min(d, time.Second)
		time.Sleep(step)
		s.settle()
		d -= step
	}
}

// press presses keys by their names, without a pause, and then settles. A text that is not a
// key's name is typed letter by letter. Before Y, which says yes, it waits as long as a user
// needs to read the question.
func (s *screen) press(names ...string) {
	for _, name := range names {
		if name == "Y" {
			s.settle()
			s.wait(time.Second)
		}
		if msg, ok := named(name); ok {
			s.send(msg)
			continue
		}
		for _, r := range name {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	s.settle()
}

func named(name string) (tea.KeyPressMsg, bool) {
	codes := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "pgdown": tea.KeyPgDown, "end": tea.KeyEnd,
	}
	if code, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: code}, true
	}
	switch letter, ctrl := strings.CutPrefix(name, "ctrl+"); {
	case ctrl:
		return tea.KeyPressMsg{Code: rune(letter[0]), Mod: tea.ModCtrl}, true
	case name == "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}, true
	case name == "shift+tab":
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}, true
	}
	return tea.KeyPressMsg{}, false
}

// text is the screen without colours.
func (s *screen) text() string { return ansi.Strip(s.model.View().Content) }

func (s *screen) wants(parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(s.text(), part) {
			s.t.Errorf("the screen does not show %q:\n%s", part, s.text())
		}
	}
}

func (s *screen) lacks(parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if strings.Contains(s.text(), part) {
			s.t.Errorf("the screen shows %q:\n%s", part, s.text())
		}
	}
}

var wholeToken = regexp.MustCompile(`mcp[ka]_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}`)

// secret is the secret on the screen.
func (s *screen) secret() string {
	s.t.Helper()
	found := wholeToken.FindString(s.text())
	if found == "" {
		s.t.Fatalf("no secret on the screen:\n%s", s.text())
	}
	return found
}

// bubble runs test with its own clock, which begins at midnight.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // running ticks end
		test(t)
	})
}

// newStore returns an empty store and its manager, which uses the bubble's clock.
func newStore(t testing.TB) (*admin.Local, *sqlite.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	m, err := admin.NewLocal(store, "local:test(1)", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, store, path
}

func mustIssue(t testing.TB, m admin.Manager, req admin.IssueRequest) admin.Issued {
	t.Helper()
	issued, err := m.Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued
}

// believable fills a store with the keys of a typical team, an hour apart.
func believable(t testing.TB, m admin.Manager) []admin.Issued {
	t.Helper()
	requests := []admin.IssueRequest{
		{Name: "old-ci", Owner: "platform", Scopes: []string{"tools:get_forecast"}},
		{Name: "nightly-report", Owner: "data-team", Scopes: []string{"tools:get_forecast", "tools:get_history"}, Audience: []string{"weather"}, Expires: days(t, "9d")},
		{Name: "root", Owner: "platform", Kind: keys.KindAdmin, Expires: days(t, "365d")},
		{
			Name: "claude-desktop", Owner: "alice", Scopes: []string{"tools:get_*", "prompts:daily_briefing", "resources:file%3A%2F%2F%2Freports%2F*"},
			Audience: []string{"weather", "https://mcp.example/mcp"}, RateLimit: keys.RateLimit{Count: 60, Window: time.Minute, Burst: 10},
			Metadata: map[string]string{"ticket": "OPS-17"},
		},
		{Name: "laptop", Scopes: []string{"tools:*"}, Expires: keys.NeverExpires()},
		{Name: "ci", Owner: "platform", Scopes: []string{"tools:get_*", "tools:list_*"}, Audience: []string{"weather"}, Expires: days(t, "30d")},
	}
	var all []admin.Issued
	for _, req := range requests {
		all = append(all, mustIssue(t, m, req))
		time.Sleep(time.Hour)
	}
	if _, err := m.Revoke(t.Context(), all[0].Key.ID, "replaced by ci"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	return all
}

// inUse counts some calls of the newest keys, as after a day of work.
func inUse(t testing.TB, log store.UseLog, issued []admin.Issued) {
	t.Helper()
	now := time.Now().UTC()
	use := func(i int, ago time.Duration, ip, agent string, calls ...int64) usage.Use {
		at := now.Add(-ago)
		u := usage.Use{KeyID: issued[i].Key.ID, Last: []keys.LastUse{{Secret: 1, At: at, ClientIP: netip.MustParseAddr(ip), Agent: agent}}}
		for hours, n := range calls {
			u.Counts = append(u.Counts, usage.Count{Hour: at.Truncate(time.Hour).Add(-time.Duration(hours) * time.Hour), Code: keys.CodeValid, Calls: n})
		}
		return u
	}
	err := log.AddUse(t.Context(), []usage.Use{
		use(5, 40*time.Second, "10.0.3.17", "python-httpx/0.28", 40, 37),
		use(3, 2*time.Minute, "2001:db8::7", "claude-code/2.1.4", 12, 31, 4, 18),
		use(0, 26*time.Hour, "192.0.2.1", "curl/8.5.0", 3),
	})
	if err != nil {
		t.Fatalf("AddUse: %v", err)
	}
}

func days(t testing.TB, text string) keys.Expiry {
	t.Helper()
	e, err := keys.ParseExpiry(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// valve is a real manager that a test can stop, slow down, and count calls of.
type valve struct {
	admin.Manager
	log *sqlite.Store // the store itself
	err error         // returned by every call if set

	auditErr error                 // returned by Audit if set
	page     int                   // keys on a page if set
	hold     map[int]chan struct{} // by number: lists that are read at once and answered later
	lists    int
	changes  int
}

func (v *valve) List(ctx context.Context, q keys.Query) (keys.Page, error) {
	v.lists++
	if v.err != nil {
		return keys.Page{}, v.err
	}
	if v.page > 0 {
		q.Limit = v.page
	}
	held := v.hold[v.lists]
	page, err := v.Manager.List(ctx, q)
	if held != nil {
		<-held
	}
	return page, err
}

func (v *valve) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	if err := cmp.Or(v.err, v.auditErr); err != nil {
		return audit.Page{}, err
	}
	return v.Manager.Audit(ctx, q)
}

func (v *valve) Issue(ctx context.Context, req admin.IssueRequest) (admin.Issued, error) {
	v.changes++
	if v.err != nil {
		return admin.Issued{}, v.err
	}
	return v.Manager.Issue(ctx, req)
}

func (v *valve) Revoke(ctx context.Context, id, reason string) (*keys.Key, error) {
	v.changes++
	if v.err != nil {
		return nil, v.err
	}
	return v.Manager.Revoke(ctx, id, reason)
}

func (v *valve) Rotate(ctx context.Context, id string, req admin.RotateRequest) (admin.Issued, error) {
	v.changes++
	if v.err != nil {
		return admin.Issued{}, v.err
	}
	return v.Manager.Rotate(ctx, id, req)
}

func (v *valve) Disable(ctx context.Context, id, reason string) (*keys.Key, error) {
	v.changes++
	if v.err != nil {
		return nil, v.err
	}
	return v.Manager.Disable(ctx, id, reason)
}

func (v *valve) Enable(ctx context.Context, id string) (*keys.Key, error) {
	v.changes++
	if v.err != nil {
		return nil, v.err
	}
	return v.Manager.Enable(ctx, id)
}

func (v *valve) Edit(ctx context.Context, id string, req admin.EditRequest) (*keys.Key, error) {
	v.changes++
	if v.err != nil {
		return nil, v.err
	}
	return v.Manager.Edit(ctx, id, req)
}
