package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// TestPanicReachesTheMiddlewareAround: a tool's panic reaches the server's own middleware, with
// its value, so that a middleware that recovers keeps the process running. The log says where
// it began.
func TestPanicReachesTheMiddlewareAround(t *testing.T) {
	for _, version := range eras {
		for _, value := range []any{"boom", errors.New("boom"), http.ErrAbortHandler} {
			t.Run(fmt.Sprintf("%s %T %v", version, value, value), func(t *testing.T) {
				s := newSite(t, nil)
				s.doing("boom", func() { panic(value) })
				recovered := make(chan any, 1)
				s.server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
					return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
						defer func() {
							if p := recover(); p != nil {
								recovered <- p
								err = errors.New("recovered")
							}
						}()
						return next(ctx, method, req)
					}
				})
				status, body := s.send(version, s.Granted("tools:*"), callOf(version, "boom"))
				if !strings.Contains(body, "recovered") {
					t.Errorf("the call: got %d %s, want what the middleware made of it", status, body)
				}
				if got := <-recovered; got != value {
					t.Errorf("recover: got %v, want the tool's own %v", got, value)
				}
				if told := strings.Contains(s.log.String(), "panic_test.go"); told != (value != http.ErrAbortHandler) {
					t.Errorf("log: got %s, want where the panic began, unless it only aborts", s.log.String())
				}
			})
		}
	}
}

// Attack: a client calls a tool that panics in the end, and the key is revoked before that. No
// code waits for the tool then, so none could recover: the process must not end.
func TestPanicOfALeftToolEndsNothing(t *testing.T) {
	s := newSite(t, nil, "quick")
	began, goOn := make(chan string, 1), make(chan struct{})
	s.slows = map[string]*slow{"deaf": {began: began}}
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	s.doing("deaf", func() {
		began <- ""
		<-goOn
		panic("with a key: " + token)
	})
	a := s.beginCall(modern, token, "", "deaf")
	s.Elsewhere().Revoke(id)
	_, body := a.end()
	wantEnding(t, body, 7, endings[keys.CodeRevoked]...)
	close(goOn)
	line := s.wantLogged(`"code":"panicked"`)
	if !strings.Contains(line, id) || !strings.Contains(line, "panic_test.go") || keys.HoldsToken(line) {
		t.Errorf("log: got %s, want the key's id and where it began, and no key", line)
	}
	if status, body := s.send(modern, s.Granted("tools:*"), callOf(modern, "quick")); status != http.StatusOK {
		t.Errorf("the next call: got %d %s, want 200", status, body)
	}
}

// TestToolThatEndsItsGoroutine: as a test's FailNow in a tool does. The caller gets an error
// and does not wait.
func TestToolThatEndsItsGoroutine(t *testing.T) {
	s := newSite(t, nil)
	s.doing("exit", runtime.Goexit)
	if _, body := s.send(modern, s.Granted("tools:*"), callOf(modern, "exit")); !strings.Contains(body, `"error"`) {
		t.Errorf("the call: got %s, want an error", body)
	}
}

// TestPanicOfAnEventStoreEndsNothing: the store is told that the session of an ended key is
// over, and its panic must not end the process.
func TestPanicOfAnEventStoreEndsNothing(t *testing.T) {
	s := newSite(t, nil, "quick")
	s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{EventStore: panickingStore{mcp.NewMemoryEventStore(nil)}}})
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	s.open(token)
	s.Elsewhere().Revoke(id)
	s.wantLogged(`"panic":"the event store"`)
}

type panickingStore struct{ *mcp.MemoryEventStore }

func (panickingStore) SessionClosed(context.Context, string) error { panic("the event store") }

// doing adds a tool that calls what.
func (s *site) doing(name string, what func()) {
	s.server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			what()
			return &mcp.CallToolResult{}, nil
		})
}

// wantLogged waits for a log line that contains text.
func (s *site) wantLogged(text string) string {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	s.t.Fatalf("log: got %s, want a line with %s", s.log.String(), text)
	return ""
}
