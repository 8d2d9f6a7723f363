package mcpauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// TestEditTellsThatListsChanged: a client of the SDK is told that its tools changed when its
// key was granted more or less, asks again, and gets what it may use now. It is not told about
// a list that the server does not have or that did not change.
func TestEditTellsThatListsChanged(t *testing.T) {
	for _, version := range eras {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, nil, "get", "set")
			s.server.AddPrompt(&mcp.Prompt{Name: "ask"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
			token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:get", "prompts:ask"}})
			heard := make(chan string, 100)
			listening := make(chan struct{}, 1)
			client := mcp.NewClient(&mcp.Implementation{Name: "client"}, &mcp.ClientOptions{
				ToolListChangedHandler:     func(context.Context, *mcp.ToolListChangedRequest) { heard <- "tools" },
				PromptListChangedHandler:   func(context.Context, *mcp.PromptListChangedRequest) { heard <- "prompts" },
				ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) { heard <- "resources" },
			})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
				Endpoint: s.url, MaxRetries: -1, HTTPClient: &http.Client{Transport: listens{withKey(token), listening}},
			}, &mcp.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = session.Close() }()
			want := func(list string, scopes ...string) {
				t.Helper()
				s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = scopes })
				select {
				case got := <-heard:
					if got != list {
						t.Errorf("after %q: heard of %s, want %s", scopes, got, list)
					}
				case <-time.After(patience):
					t.Fatalf("after %q: heard nothing", scopes)
				}
			}
			select {
			case <-listening:
			case <-time.After(patience):
				t.Fatal("the client does not listen")
			}
			want("tools", "tools:*", "prompts:ask")
			if list, err := session.ListTools(t.Context(), nil); err != nil || len(list.Tools) != 2 {
				t.Errorf("ListTools: got %v, %v, want both", list, err)
			}
			s.Elsewhere().Change(id, func(k *keys.Key) { k.Name = "other" }) // which no list shows
			want("tools", "tools:set", "prompts:ask", "resources:x")
			want("prompts", "tools:set", "resources:x")
		})
	}
}

// listens says when the server answers the request that listens for changes.
type listens struct {
	http.RoundTripper
	answered chan<- struct{}
}

func (l listens) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK && (r.Method == http.MethodGet || r.Header.Get("Mcp-Method") == "subscriptions/listen") {
		l.answered <- struct{}{}
	}
	return resp, err
}

// TestNobodyIsToldOfListsUnasked: in the version without sessions a subscription is told about
// the lists that it asked for, under its own id, and about no others.
func TestNobodyIsToldOfListsUnasked(t *testing.T) {
	s := newSite(t, nil, "get")
	s.server.AddPrompt(&mcp.Prompt{Name: "ask"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:get", "prompts:ask"}})
	r := message(modern, "subscriptions/listen", "", `{"notifications":{"toolsListChanged":true}}`)
	r.token = token
	a := s.begin(r)
	a.event("acknowledged")
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"other:*"} })
	a.event(`"method":"notifications/tools/list_changed"`)
	s.Elsewhere().Revoke(id)
	_, body := a.end()
	if strings.Contains(body, "prompts/list_changed") || strings.Count(body, `"io.modelcontextprotocol/subscriptionId":7`) < 2 {
		t.Errorf("got %s, want word of the tools, with the subscription's id", body)
	}
	wantEnding(t, body, 7, endings[keys.CodeRevoked]...)
}
