package mcphttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// granted is what the key of the fuzzed messages may do; all else that they name is hidden.
var granted = []string{"tools:open_*", "prompts:open_*"}

func may(name string) bool { return strings.HasPrefix(name, "open_") }

// readings are the names of what a text calls, as readers of JSON find them: one that
// distinguishes case, as the SDK does, one that does not, and one that takes the first of two
// members.
func readings(text []byte) (names []string) {
	parts := [][]byte{text}
	var batch []json.RawMessage
	if json.Unmarshal(text, &batch) == nil {
		parts = nil
		for _, b := range batch {
			parts = append(parts, b)
		}
	}
	for _, part := range parts {
		names = append(names, read(part)...)
	}
	return names
}

func read(part []byte) (names []string) {
	note := func(method, name string) {
		if method == "tools/call" || method == "prompts/get" {
			names = append(names, name)
		}
	}
	var folded struct {
		Method string
		Params struct{ Name string }
	}
	if json.Unmarshal(part, &folded) == nil {
		note(folded.Method, folded.Params.Name)
	}
	if m, err := jsonrpc.DecodeMessage(part); err == nil {
		if r, ok := m.(*jsonrpc.Request); ok {
			var p mcp.CallToolParamsRaw
			if json.Unmarshal(r.Params, &p) == nil {
				note(r.Method, p.Name)
			}
		}
	}
	note(first(part, "method"), first(part, "params", "name"))
	return names
}

// first finds a string at a path, taking the first of two members.
func first(text []byte, path ...string) string {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return ""
		}
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return ""
		}
		if name != path[0] {
			continue
		}
		if len(path) > 1 {
			return first(v, path[1:]...)
		}
		var s string
		_ = json.Unmarshal(v, &s)
		return s
	}
	return ""
}

// seeds are messages and pieces of them.
var (
	seeds = []string{
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"open_a","arguments":{"name":"hidden","x":[1,2.50,"\ud83d\ude00"]}}}`,
		`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"hidden_a","arguments":{}}}`,
		`{"params":{"_meta":{"progressToken":1},"name":"open_b"},"method":"prompts/get","id":3,"jsonrpc":"2.0"}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open_a"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hidden_b"}}]`,
		`{"jsonrpc":"2.0","id":7,"method":"ping"}`,
	}
	pieces = []string{
		`"name":"hidden_a",`, `"Name":"hidden_a",`, `"n\u0061me":"hidden_a",`, `"method":"tools/call",`, `"METHOD":"tools/call",`, `"params":{"name":"hidden_a"},`,
		`"id":1,`, `"jsonrpc":"2.0",`, `open_`, `hidden_`, `\u0000`, `\ud800`, `"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, " ", "\x00", "\xff", "\ufeff", "ſ", "\u212a", "1e5", "null", "//", "tools/call",
		"\"arguments\":{\"name\":\"hidden_c\"},", "_meta", "\r\n", "-0", "\\u006f",
	}
)

func mutate(r *rand.Rand) []byte {
	text := []byte(seeds[r.IntN(len(seeds))])
	for range r.IntN(4) {
		at := r.IntN(len(text) + 1)
		switch r.IntN(5) {
		case 0: // a piece where a member may begin
			if i := bytes.IndexByte(text[at:], '{'); i >= 0 {
				at += i + 1
			}
			fallthrough
		case 1:
			text = append(text[:at:at], append([]byte(pieces[r.IntN(len(pieces))]), text[at:]...)...)
		case 2:
			end := min(len(text), at+r.IntN(8))
			text = append(text[:at:at], text[end:]...)
		case 3:
			if at < len(text) {
				text[at] = byte(r.IntN(256))
			}
		case 4:
			if at < len(text) {
				text[at] ^= 0x20 // another case
			}
		}
		if len(text) == 0 {
			return []byte("{}")
		}
	}
	return text
}

// Twenty thousand mutated messages: no call that is denied reaches the server, however it reads
// JSON, and granted calls arrive byte for byte.
func TestMutatedMessages(t *testing.T) {
	k := guardtest.NewKeyring(t)
	var body []byte
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answersTo(string(body))))
	})
	h := mcphttp.Handler(k.Guard(nil), next, nil)
	token := k.Granted(granted...)
	r := rand.New(rand.NewPCG(14, 1))
	passed, denied := 0, 0
	for range 20000 {
		sent := mutate(r)
		body = nil
		req := httptest.NewRequest(http.MethodPost, "/mcp", bytes.NewReader(sent))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if body == nil {
			denied++
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%q: answered %q", sent, w.Body)
			}
			continue
		}
		passed++
		for _, name := range readings(body) {
			if !may(name) {
				t.Fatalf("%q: the server got %q, and may call %q", sent, body, name)
			}
		}
		if sent[0] != '[' && !bytes.Equal(body, sent) {
			t.Fatalf("%q: the server got %q", sent, body)
		}
	}
	t.Logf("%d passed, %d refused", passed, denied)
	if passed < 2000 || denied < 2000 {
		t.Errorf("%d passed, %d refused: the messages show nothing", passed, denied)
	}
}

// The same with a server of the SDK, which notes what it is about to do.
func TestMutatedMessagesToTheSDK(t *testing.T) {
	var mu sync.Mutex
	var called []string
	server := toolbox(nil, "open_a", "open_b", "hidden_a", "hidden_b")
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			mu.Lock()
			switch r := req.(type) {
			case *mcp.CallToolRequest:
				called = append(called, r.Params.Name)
			case *mcp.GetPromptRequest:
				called = append(called, r.Params.Name)
			}
			mu.Unlock()
			return next(ctx, method, req)
		}
	})
	k := guardtest.NewKeyring(t)
	h := mcphttp.Handler(k.Guard(nil), mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true}), nil)
	token := k.Granted(granted...)
	r := rand.New(rand.NewPCG(14, 2))
	total := 0
	for range 4000 {
		sent := mutate(r)
		mu.Lock()
		called = nil
		mu.Unlock()
		req := httptest.NewRequest(http.MethodPost, "/mcp", bytes.NewReader(sent))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		h.ServeHTTP(httptest.NewRecorder(), req)
		mu.Lock()
		for _, name := range called {
			if !may(name) {
				t.Fatalf("%q: the server ran %q", sent, name)
			}
		}
		total += len(called)
		mu.Unlock()
	}
	if total < 500 {
		t.Errorf("%d calls: the messages show nothing", total)
	}
}
