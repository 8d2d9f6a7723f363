package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// On SIGHUP a guard reads its configuration again: the running call of a changed server hears
// that, and the one of a server that stayed the same is answered.
func TestGuardOnSIGHUP(t *testing.T) {
	db, secret, _ := ofKeys(t)
	began, release := make(chan struct{}, 2), make(chan struct{})
	released := sync.OnceFunc(func() { close(release) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(released)
	config := filepath.Join(t.TempDir(), "guard.json")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf(`{"servers": {"changed": {"audience": "files", "upstream": %q%s}, "kept": {"audience": "files", "upstream": %[1]q}}}`, server.URL+"/mcp", more)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	g := startGuard(t, "--db", db, "--config", config)
	call := func(name string) <-chan string {
		answer := make(chan string, 1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(g.url, "/changed/", "/"+name+"/", 1),
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer " + secret}}
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			answer <- fmt.Sprint(resp.Status, " ", string(text), " ", err)
		}()
		<-began
		return answer
	}
	changed, kept := call("changed"), call("kept")
	write(`, "methods": {"acme/export": "tools:export"}`)
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := <-changed; !strings.Contains(got, "the configuration of this MCP server was changed. Try again in 1 second.") {
		t.Errorf("the call of the changed server: got %s", got)
	}
	released()
	if got := <-kept; !strings.Contains(got, `"result"`) {
		t.Errorf("the call of the server that stayed the same: got %s", got)
	}
}
