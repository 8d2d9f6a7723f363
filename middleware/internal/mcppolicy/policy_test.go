package mcppolicy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// What each method needs: the scope of what it names, or nothing. All others are unknown.
func TestMethods(t *testing.T) {
	for _, c := range []struct {
		method  string
		subject mcppolicy.Subject
		scope   string // for the subject "x"
		unknown int64  // the code for a subject that does not exist
		open    bool
		counts  bool
	}{
		{"tools/call", mcppolicy.Name, mcpscope.Tool("x"), mcppolicy.CodeInvalidParams, false, true},
		{"prompts/get", mcppolicy.Name, mcpscope.Prompt("x"), mcppolicy.CodeInvalidParams, false, true},
		{"resources/read", mcppolicy.URI, mcpscope.Resource("x"), mcppolicy.CodeInvalidParams, false, true},
		{"resources/subscribe", mcppolicy.URI, mcpscope.Resource("x"), mcppolicy.CodeInvalidParams, false, false},
		{"resources/unsubscribe", mcppolicy.URI, mcpscope.Resource("x"), mcppolicy.CodeInvalidParams, false, false},
		{method: "completion/complete", subject: mcppolicy.Ref},
		{method: "tools/list", open: true},
		{method: "prompts/list", open: true},
		{method: "resources/list", open: true},
		{method: "resources/templates/list", open: true},
		{method: "subscriptions/listen", open: true},
		{method: "initialize", open: true},
		{method: "server/discover", open: true},
		{method: "ping", open: true},
		{method: "logging/setLevel", open: true},
		{method: "notifications/initialized", open: true},
		{method: "notifications/cancelled", open: true},
		{method: "notifications/progress", open: true},
		{method: "notifications/roots/list_changed", open: true},
		{method: "tasks/list"},
		{method: "tasks/cancel"},
		{method: "acme/export"},
		{method: "Tools/call"},
		{method: "tools/call "},
		{method: ""},
		{method: "sampling/createMessage"},
		{method: "notifications/message"},
		{method: "notifications/"},
	} {
		if got := mcppolicy.SubjectOf(c.method); got != c.subject {
			t.Errorf("SubjectOf(%q): got %q, want %q", c.method, got, c.subject)
		}
		if got := mcppolicy.Open(c.method); got != c.open {
			t.Errorf("Open(%q): got %v, want %v", c.method, got, c.open)
		}
		if got := mcppolicy.Counts(c.method); got != c.counts {
			t.Errorf("Counts(%q): got %v, want %v", c.method, got, c.counts)
		}
		if c.scope == "" {
			continue
		}
		target := mcppolicy.Need(c.method, "x")
		unknown := target.Unknown()
		if !target.Exists() || target.Scope != c.scope || unknown.Code != c.unknown || !strings.Contains(unknown.Message+string(unknown.Data), "x") {
			t.Errorf("Need(%q): got %q, %v", c.method, target.Scope, unknown)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct{ kind, name, uri, scope string }{
		{"ref/prompt", "greet", "", mcpscope.Prompt("greet")},
		{"ref/prompt", "greet", "doc://x", mcpscope.Prompt("greet")},
		{"ref/resource", "greet", "doc://{x}", mcpscope.Resource("doc://{x}")},
		{"ref/tool", "greet", "doc://x", ""},
		{"", "", "", ""},
	} {
		if target := mcppolicy.Completion(c.kind, c.name, c.uri); target.Scope != c.scope || !target.Exists() {
			t.Errorf("Completion(%q, %q, %q): got %+v, want %q", c.kind, c.name, c.uri, target, c.scope)
		}
	}
}

// Each list is narrowed by the scopes with which its entries are used.
func TestLists(t *testing.T) {
	uses := map[string]string{"tools/list": "tools/call", "prompts/list": "prompts/get", "resources/list": "resources/read", "resources/templates/list": "resources/read"}
	if len(mcppolicy.Lists) != len(uses) {
		t.Errorf("got %d lists, want %d", len(mcppolicy.Lists), len(uses))
	}
	for _, l := range mcppolicy.Lists {
		want := mcppolicy.Need(uses[l.Method], "x").Scope
		if got := l.Scope("x"); got != want || !strings.HasPrefix(got, l.About+":") {
			t.Errorf("%s: an entry needs %q, and its use %q", l.Method, got, want)
		}
		if n := mcppolicy.NeedsOf(l.Method, ""); !n.Whole {
			t.Errorf("%s: needs %+v, want all that was granted", l.Method, n)
		}
	}
	for _, scope := range []string{"", "tools:x"} {
		if n := mcppolicy.NeedsOf("tools/call", scope); n.Whole || n.Scope != scope {
			t.Errorf("a call for %q: needs %+v", scope, n)
		}
	}
}

func TestCheckCustom(t *testing.T) {
	for method, ok := range map[string]bool{"acme/export": true, "tasks/list": true, "": false, "tools/call": false, "ping": false, "completion/complete": false, "notifications/progress": false} {
		if err := mcppolicy.CheckCustom(map[string]string{method: "tools:x"}); (err == nil) != ok {
			t.Errorf("CheckCustom(%q): got %v, want ok %v", method, err, ok)
		}
	}
}

// A refusal names what is not granted in the same words as what does not exist, and says when to
// try again.
func TestRefusals(t *testing.T) {
	unknown := mcppolicy.Tool("x")
	for code, want := range map[keys.Code]string{
		keys.CodeInsufficientScope: unknown.Unknown().Message,
		keys.CodeRateLimited:       "Try again in 3 seconds.",
		keys.CodeUnavailable:       "cannot be checked right now",
		keys.CodeRevoked:           "authentication required",
	} {
		got := mcppolicy.Refusal(keys.Decision{Code: code, RetryAfter: 2500 * time.Millisecond}, unknown)
		if !strings.Contains(got.Message, want) {
			t.Errorf("%s: got %q, want %q", code, got.Message, want)
		}
	}
}

// The error of a call that ended says why, and what the client can do.
func TestEndings(t *testing.T) {
	ended := func(code keys.Code) error { return &middleware.EndedError{Code: code} }
	call := mcppolicy.NeedsOf("tools/call", "tools:x")
	for _, c := range []struct {
		err   error
		needs mcppolicy.Needs
		code  int64
		want  string
		retry bool
	}{
		{ended(keys.CodeRevoked), call, -31401, "no longer valid", false},
		{ended(keys.CodeExpired), call, -31401, "no longer valid", false},
		{ended(keys.CodeInsufficientScope), call, -31403, "tools:x", false},
		{ended(keys.CodeInsufficientScope), mcppolicy.NeedsOf("tools/list", ""), -31503, "was changed while", true},
		{ended(keys.CodeUnavailable), call, -31503, "cannot be checked", true},
		{errors.New("another"), call, -31503, "cannot be checked", true},
		{&mcppolicy.ServerEndedError{Why: "the weather changed", Again: true}, call, -31503, "finished: the weather changed. Try again in 1 second.", true},
		{&mcppolicy.ServerEndedError{Why: "it was removed"}, call, -31503, "finished: it was removed. Do not try again; ask the person who runs this guard.", false},
	} {
		got := mcppolicy.Ending(c.err, c.needs, "r-1")
		if got.Code != c.code || !strings.Contains(got.Message, c.want) || strings.Contains(string(got.Data), "retry_after") != c.retry || !strings.Contains(string(got.Data), "r-1") {
			t.Errorf("Ending(%v): got %d %s %s, want %d %s", c.err, got.Code, got.Message, got.Data, c.code, c.want)
		}
	}
}
