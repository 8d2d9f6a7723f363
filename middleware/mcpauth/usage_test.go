package mcpauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// The name in a call is counted with its outcome, in both versions: each call once, also if the
// server has two handlers, and not what a list, a subscription or a completion checks.
func TestScopesOfCallsAreCounted(t *testing.T) {
	for _, version := range eras {
		s := furnished(t, "public", "payroll")
		mcpauth.Handler(s.Guard(nil), s.server, nil)
		token := s.Granted(publicOnly...)
		for _, name := range []string{"public", "payroll"} {
			for _, r := range uses(version, name) {
				s.send(version, token, r)
			}
		}
		s.send(version, token, message(version, "tools/list", "", "{}"))

		got := s.Counted()
		delete(got, "valid") // requests: opening a session also takes some
		want := map[string]int64{}
		for code, name := range map[keys.Code]string{keys.CodeValid: "public", keys.CodeInsufficientScope: "payroll"} {
			uri := "doc://" + name
			for _, scope := range []string{mcpscope.Tool(name), mcpscope.Prompt(name), mcpscope.Resource(uri), mcpscope.Resource(uri + "/1")} {
				want[string(code)+" "+scope] = 1
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: counted (-want +got):\n%s", version, diff)
		}
	}
}

// Attack: a caller names tools that do not exist, with names that are too long or contain a key
// or its secret, to fill the memory and to have secrets stored. They are counted together.
func TestInventedNamesAreCountedTogether(t *testing.T) {
	s := furnished(t, "public")
	token := s.Granted(publicOnly...)
	for _, name := range []string{strings.Repeat("a", 1<<20), token, "x" + token + "y", "oHR7DyPmAFr3zHJjb07SPhsyRbGORxlazU1Y"} {
		s.send(legacy, token, callOf(legacy, name))
	}
	got := s.Counted()
	delete(got, "valid")
	if diff := cmp.Diff(map[string]int64{"insufficient_scope " + usage.OtherScopes: 4}, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}
