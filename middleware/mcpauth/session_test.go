package mcpauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The real client, in both versions: what was granted runs, what was not is unknown, and after
// a revocation nothing runs.
func TestRealClient(t *testing.T) {
	for _, version := range eras {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, nil, "get_forecast", "set_reading")
			token, id := s.Issue(admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}})
			session := s.mustConnect(version, token)

			list, err := session.ListTools(t.Context(), nil)
			if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "get_forecast" {
				t.Errorf("ListTools: got %v, %v, want get_forecast alone", list, err)
			}
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_forecast"}); err != nil {
				t.Errorf("CallTool(get_forecast): %v", err)
			}
			_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "set_reading"})
			if err == nil || !strings.Contains(err.Error(), `unknown tool "set_reading"`) {
				t.Errorf("CallTool(set_reading): got %v, want unknown tool", err)
			}
			ran := s.ran()
			if len(ran) != 1 || ran[0].tool != "get_forecast" || ran[0].caller.KeyID() != id {
				t.Errorf("ran: got %v, want get_forecast once, for the key", ran)
			}

			s.Revoke(id)
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_forecast"}); err == nil {
				t.Error("CallTool after revocation: got no error, want one")
			}
			if ran := s.ran(); len(ran) != 0 {
				t.Errorf("ran after revocation: got %v, want nothing", ran)
			}
		})
	}
}

// Without a key a client is refused at its first request, in either era.
func TestRefusedAtFirstRequest(t *testing.T) {
	for _, version := range eras {
		s := newSite(t, nil, "add")
		if _, err := s.connect(version, ""); err == nil {
			t.Errorf("Connect in era %s without a key: got no error, want one", version)
		}
	}
}

// Attack: a client opens a session with a powerful key, and the holder of a weak key, who
// learnt the session id, uses it. The SDK keeps the opener's context for the whole session, so
// code that took the identity from there would run what only the powerful key may. Nor may the
// weak key run its own tools there, or read the session's stream, or end it.
func TestSessionOfABroadKeyUsedWithANarrowOne(t *testing.T) {
	s := newSite(t, nil, "add", "secret")
	broad, narrow := s.Granted("tools:*"), s.Granted("tools:add")
	session := s.open(broad)
	for _, tool := range []string{"secret", "add"} {
		r := callOf(legacy, tool)
		r.token, r.session = narrow, session
		if status, body := s.post(r); status != http.StatusForbidden || strings.Contains(body, "ran ") {
			t.Errorf("%s with another key: got %d %s, want 403", tool, status, body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		req, _ := http.NewRequestWithContext(t.Context(), method, s.url, nil)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Mcp-Session-Id", session)
		resp, err := withKey(narrow).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s with another key: got %d, want 403", method, resp.StatusCode)
		}
	}
	if ran := s.ran(); len(ran) != 0 {
		t.Errorf("ran: got %v, want nothing", ran)
	}
	r := callOf(legacy, "secret")
	r.token, r.session = broad, session
	if status, body := s.post(r); status != http.StatusOK || len(s.ran()) != 1 {
		t.Errorf("the session's own key: got %d %s, want it to go on", status, body)
	}
}

// Attack: a key's scopes are narrowed while its session is open. The opener's context still has
// the old ones.
func TestNarrowedScopesCountInAnOpenSession(t *testing.T) {
	s := newSite(t, nil, "add", "secret")
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	session := s.mustConnect(legacy, token)
	s.Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:add"} })

	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "secret"}); err == nil {
		t.Error("CallTool(secret) after narrowing: got no error, want unknown tool")
	}
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add"}); err != nil {
		t.Errorf("CallTool(add): %v", err)
	}
	ran := s.ran()
	if len(ran) != 1 || ran[0].tool != "add" || ran[0].caller.Allows("tools:secret") {
		t.Errorf("ran: got %v, want add once, under the narrow scopes", ran)
	}
}

// In the version without sessions each request is judged by its own key, also on one connection
// and with a session id that belongs to another.
func TestSessionlessIdentityIsEachRequestsOwn(t *testing.T) {
	s := newSite(t, nil, "add", "secret")
	broad, broadID := s.Issue(admin.IssueRequest{Name: "broad", Scopes: []string{"tools:*"}})
	narrow, narrowID := s.Issue(admin.IssueRequest{Name: "narrow", Scopes: []string{"tools:add"}})
	for range 3 {
		for token, id := range map[string]string{broad: broadID, narrow: narrowID} {
			r := callOf(modern, "add")
			r.token = token
			status, _ := s.post(r)
			if ran := s.ran(); status != http.StatusOK || len(ran) != 1 || ran[0].caller.KeyID() != id {
				t.Fatalf("add: got %d, %v, want the identity of %s", status, ran, id)
			}
		}
		r := callOf(modern, "secret")
		r.token, r.headers = narrow, append(r.headers, "Mcp-Session-Id: "+s.open(broad))
		if status, body := s.post(r); status == http.StatusOK || len(s.ran()) != 0 {
			t.Fatalf("secret with the narrow key: got %d %s, want it refused", status, body)
		}
	}
}

// No tool sees a credential: neither the key nor the dummy for the SDK.
func TestToolSeesNoCredential(t *testing.T) {
	for _, version := range eras {
		s := newSite(t, nil, "add")
		token := s.Granted("tools:add")
		r := callOf(version, "add")
		r.headers = append(r.headers, "X-Forwarded-Authorization: Bearer "+token, "Cookie: k="+token)
		if status, body := s.send(version, token, r); status != http.StatusOK {
			t.Fatalf("add in era %s: got %d %s", version, status, body)
		}
		for name, values := range s.ran()[0].header {
			if name == "Authorization" || strings.Contains(strings.Join(values, " "), token) {
				t.Errorf("era %s: the tool sees %s: %v", version, name, values)
			}
		}
	}
}

// A request belongs to one version: with a session id it belongs to the session, and is told
// that sessions do not support the new version.
func TestSessionIDChoosesTheEraOfSessions(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:add")
	r := callOf(modern, "add")
	r.token, r.session = token, s.open(token)
	if status, body := s.post(r); status != http.StatusBadRequest || !strings.Contains(body, "-32022") || len(s.ran()) != 0 {
		t.Errorf("modern call in a session: got %d %s, want 400 and -32022", status, body)
	}
	r.session = "MADEUP"
	if status, _ := s.post(r); status != http.StatusNotFound || len(s.ran()) != 0 {
		t.Errorf("modern call with an unknown session: got %d, want 404", status)
	}
}
