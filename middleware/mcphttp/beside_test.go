package mcphttp_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
)

// asking is a server that, before it answers a list, sends messages beside it, and waits for the
// answer to its question "q". Its list has two pages.
type asking struct {
	beside  []string // OWN stands for the id of the request
	answers chan string
}

func (a *asking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := readAll(r)
	id := regexp.MustCompile(`"id":("[^"]*"|\d+)`).FindStringSubmatch(body)
	switch {
	case strings.Contains(body, `"initialize"`):
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Mcp-Session-Id", "one")
		_, _ = w.Write([]byte(answersTo(body)))
		return
	case !strings.Contains(body, "tools/list"):
		if strings.Contains(body, `"id":"q"`) {
			a.answers <- body
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, m := range a.beside {
		_, _ = fmt.Fprintf(w, "id: 1\nretry: 5\ndata: %s\n\n", strings.ReplaceAll(m, "OWN", id[1]))
	}
	_ = http.NewResponseController(w).Flush()
	entries := `{"name":"add"},{"name":"payroll"}],"nextCursor":"1"`
	if strings.Contains(body, `"cursor":"1"`) {
		entries = `{"name":"get",` + "\n" + `"title":"G"}]`
	} else if len(a.beside) > 0 && strings.Contains(strings.Join(a.beside, ""), `"q"`) {
		select {
		case <-a.answers:
		case <-r.Context().Done():
			return
		}
	}
	for line := range strings.Lines(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s}}`, id[1], entries)) {
		_, _ = fmt.Fprintf(w, "data: %s\n", strings.TrimSuffix(line, "\n"))
	}
	_, _ = w.Write([]byte("\n"))
}

var toAsk = []string{
	`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}`,
	`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"doc://payroll"}}`,
	`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":OWN}}`,
	`{"jsonrpc":"2.0","id":"other","result":{"tools":[{"name":"payroll"}]}}`,
	`{"jsonrpc":"2.0", "id":"q", "method":"roots/list"}`,
}

// A server asks its client before it answers a list: the question goes out on the list's own
// request, byte for byte, and the filtered list comes last.
func TestServerAsksBeforeItAnswersAList(t *testing.T) {
	server := &asking{beside: toAsk, answers: make(chan string, 1)}
	s := newSite(t, server, nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add", "tools:get"}})
	session := s.open(token)
	in := func(r request) request { r.token, r.session = token, session; return r }
	list := in(message(legacy, "tools/list", "", `{"_meta":{"progressToken":"t"}}`))

	resp := s.stream(list)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("got %s, %s", resp.Status, got)
	}
	lines := bufio.NewScanner(resp.Body)
	until(t, "the question", func() bool { return lines.Scan() && lines.Text() == "data: "+toAsk[4] })
	if status, body := s.post(in(request{version: legacy, body: `{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}`})); status != http.StatusAccepted {
		t.Fatalf("the answer to the question: got %d %s", status, body)
	}
	var rest strings.Builder
	for lines.Scan() {
		rest.WriteString(lines.Text() + "\n")
	}
	want := "\nevent: message\ndata: {\"jsonrpc\":\"2.0\", \"id\":\"q\", \"method\":\"roots/list\"}\n\n" + // of the second page
		"event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"tools\":[{\"name\":\"add\"},{\"name\":\"get\",\ndata: \"title\":\"G\"}]}}\n\n"
	if got := rest.String(); got != want {
		t.Errorf("after the question: got\n%s\nwant\n%s", got, want)
	}

	asked := s.stream(list) // and is not answered
	lines = bufio.NewScanner(asked.Body)
	var before string
	until(t, "the question again", func() bool {
		ok := lines.Scan()
		before += lines.Text() + "\n"
		return ok && lines.Text() == "data: "+toAsk[4]
	})
	if want := "event: message\ndata: " + toAsk[0] + "\n\nevent: message\ndata: " + toAsk[4] + "\n"; before != want {
		t.Errorf("before the list: got\n%s\nwant\n%s", before, want)
	}
	s.Revoke(id)
	var ended string
	for lines.Scan() {
		ended += lines.Text() + "\n"
	}
	if !strings.Contains(ended, "-31401") || strings.Contains(ended, "tools") {
		t.Errorf("after a revoke: got %s", ended)
	}
}

// A client that reads no events gets the list alone, and so does each client in the protocol
// without sessions if it is a question.
func TestListAlone(t *testing.T) {
	question, note := toAsk[4], `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}`
	for name, c := range map[string]struct {
		version, accept, beside, want string
	}{
		"no events":             {legacy, "application/json", note, "application/json"},
		"events":                {legacy, "application/json, text/*;q=0.5", note, "text/event-stream"},
		"no Accept":             {legacy, "", note, "application/json"},
		"no session":            {modern, "application/json, text/event-stream", strings.Replace(question, `"q"`, `"Q"`, 1), "application/json"},
		"no session, no asking": {modern, "application/json, text/event-stream", note, "text/event-stream"},
		"nothing beside":        {legacy, "*/*", "", "application/json"},
	} {
		server := &asking{}
		if c.beside != "" {
			server.beside = []string{c.beside}
		}
		s := newSite(t, server, nil)
		r := message(c.version, "tools/list", "", "{}")
		r.token = s.Granted("tools:add")
		r.headers = append(r.headers, "Accept: "+c.accept)
		resp, body := s.do(r)
		if got := resp.Header.Get("Content-Type"); got != c.want || !strings.Contains(body, `"tools":[{"name":"add"}]`) || strings.Contains(body, "payroll") {
			t.Errorf("%s: got %s %s, want %s", name, got, body, c.want)
		}
	}
}

// The same with a client and a server of the SDK. The client has no stream but those of its
// requests.
func TestRootsAreAskedWhileAListIsAnswered(t *testing.T) {
	server := toolbox(nil, "add", "payroll")
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" {
				roots, err := req.GetSession().(*mcp.ServerSession).ListRoots(ctx, nil) //nolint:staticcheck // servers still ask for them
				if err != nil || len(roots.Roots) != 1 {
					return nil, fmt.Errorf("the client has the roots %v, %w", roots, err)
				}
			}
			return next(ctx, method, req)
		}
	})
	s := newSite(t, sdk(server, mcp.StreamableHTTPOptions{}), nil)
	client := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil)
	client.AddRoots(&mcp.Root{URI: "file:///srv"}) //nolint:staticcheck // clients still have roots
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url, MaxRetries: -1, DisableStandaloneSSE: true, HTTPClient: &http.Client{Transport: withKey(s.Granted("tools:add"))},
	}, &mcp.ClientSessionOptions{ProtocolVersion: legacy})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	list, err := session.ListTools(ctx, nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "add" {
		t.Errorf("got %v, %v\n%s", list, err, s.log.String())
	}
}
