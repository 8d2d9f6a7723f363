package middleware_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// E4: the log of a refusal has what is needed to fix it: the scopes that were needed and the
// missing ones, the server that was called and the servers that the key is for, and whether the
// key was proved. The denial has the same.
func TestE4RefusalSaysWhatIsMissing(t *testing.T) {
	k := guardtest.NewKeyring(t)
	var log guardtest.Buffer
	guard := k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)})
	token, id := k.Issue(admin.IssueRequest{Scopes: []string{"reports:read"}})
	elsewhere, _ := k.Issue(admin.IssueRequest{Audience: []string{"maps", "billing"}})
	for name, c := range map[string]struct {
		token string
		want  map[string]any
	}{
		"scope":    {token, map[string]any{"code": "insufficient_scope", "key_id": id, "proved": true, "scope": "reports:read reports:write", "missing_scope": "reports:write"}},
		"audience": {elsewhere, map[string]any{"code": "wrong_audience", "proved": true, "audience": guardtest.Audience, "key_audience": "maps billing"}},
		"unknown":  {keys.NewToken(keys.KindKey).Secret().Reveal(), map[string]any{"code": "not_found", "proved": false}},
		"nothing":  {"", map[string]any{"code": "no_credential", "proved": false}},
	} {
		before := log.String()
		guardtest.StatusOf(guard.Require("reports:read", "reports:write")(ok), post("X-API-Key", c.token))
		var line map[string]any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(log.String(), before)), &line); err != nil {
			t.Fatalf("%s: log: %v", name, err)
		}
		c.want["remote_ip"] = "192.0.2.1"
		for attr, want := range c.want {
			if line[attr] != want {
				t.Errorf("%s: %s: got %v, want %v", name, attr, line[attr], want)
			}
		}
	}
	rows := map[keys.Code]usage.Denial{}
	for _, d := range k.Denials() {
		rows[d.Code] = d
	}
	if d := rows[keys.CodeInsufficientScope]; !d.Proved || d.Scope != "reports:read reports:write" || d.Source.String() != "192.0.2.1/32" {
		t.Errorf("denial for scopes: got %+v", d)
	}
	if d := rows[keys.CodeWrongAudience]; !d.Proved || d.Audience != guardtest.Audience || d.Offered != "maps billing" {
		t.Errorf("denial for the audience: got %+v", d)
	}
}
