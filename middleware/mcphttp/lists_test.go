package mcphttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// pages answers a list with pages, in JSON or as events, by the number in the cursor.
func pages(events bool, pages ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Params struct{ Cursor string }
		}
		_ = json.Unmarshal([]byte(readAll(r)), &m)
		n := 0
		_, _ = fmt.Sscan(m.Params.Cursor, &n)
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, pages[n%len(pages)])
		if !events {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(answer))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\ndata: %s\n\n", answer)
	})
}

// A list is all pages of the server in one, in their order, with only what is granted; its
// entries and its other members are the server's bytes.
func TestListIsOnePageOfWhatIsGranted(t *testing.T) {
	for _, version := range eras {
		for _, events := range []bool{false, true} {
			s := newSite(t, pages(events,
				`{ "ttlMs" : 5.0, "tools":[{"name":"zeta", "inputSchema":{"type":"object"} },{"name":"payroll"}],"nextCursor":"1","cacheScope":"public"}`,
				`{"tools":[{"name":"payroll2"}],"nextCursor":"2"}`,
				`{"tools":[{"title":"T", "name":"alpha"}],"nextCursor":null}`), nil)
			r := message(version, "tools/list", "", "{}")
			r.token = s.Granted("tools:zeta", "tools:alpha")
			want := `{"jsonrpc":"2.0","id":7,"result":{ "ttlMs" : 5.0, "tools":[{"name":"zeta", "inputSchema":{"type":"object"} },{"title":"T", "name":"alpha"}],"cacheScope":"private"}}`
			if events { // what the server sends beside it passes, and the list is the last event
				beside := "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"
				want = strings.Repeat(beside, 3) + "event: message\ndata: " + want + "\n\n"
			}
			if status, body := s.post(r); status != http.StatusOK || body != want {
				t.Errorf("%s, events %v: got %d\n%s\nwant\n%s", version, events, status, body, want)
			}
			if got := s.reached(); len(got) != 3 || strings.Contains(got[0].body, `"id":7`) {
				t.Errorf("the server saw %v", got)
			}
			r.token = s.Granted("tools:other")
			if _, body := s.post(r); !strings.Contains(body, `"tools":[]`) || strings.Contains(body, "payroll") {
				t.Errorf("nothing granted: got %s", body)
			}
		}
	}
}

// cacheScope is added where the protocol version has it.
func TestListsArePrivate(t *testing.T) {
	s := newSite(t, pages(false, `{"resources":[]}`), nil)
	for version, want := range map[string]string{modern: `{"resources":[],"cacheScope":"private"}`, legacy: `{"resources":[]}`} {
		r := message(version, "resources/list", "", "{}")
		r.token = s.Granted("tools:x")
		if _, body := s.post(r); !strings.Contains(body, want) {
			t.Errorf("%s: got %s, want %s", version, body, want)
		}
	}
}

// All four lists, by the names that their entries have.
func TestFourLists(t *testing.T) {
	uri := mcpscope.Resource
	for method, c := range map[string]struct{ scope, result string }{
		"tools/list":               {"tools:seen", `{"tools":[{"name":"seen","uri":"x"},{"name":"hidden"}]}`},
		"prompts/list":             {"prompts:seen", `{"prompts":[{"name":"seen"},{"name":"hidden"}]}`},
		"resources/list":           {uri("a://seen"), `{"resources":[{"uri":"a://seen","name":"hidden?"},{"uri":"a://hidden","name":"a://seen"}]}`},
		"resources/templates/list": {uri("a://{seen}"), `{"resourceTemplates":[{"uriTemplate":"a://{seen}"},{"uriTemplate":"a://{hidden}"}]}`},
	} {
		s := newSite(t, pages(false, c.result), nil)
		r := message(legacy, method, "", "{}")
		r.token = s.Granted(c.scope)
		_, body := s.post(r)
		if !strings.Contains(body, "seen") || strings.Contains(strings.ReplaceAll(body, "hidden?", ""), "hidden") {
			t.Errorf("%s: got %s", method, body)
		}
	}
}

// A list that cannot be judged is not shown in part.
func TestListsThatAreRefused(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`{"tools":[{"name":"t%d"}],"nextCursor":"%d"}`, i, i+1)
	}
	for name, next := range map[string]http.Handler{
		"a list that does not end":     pages(false, `{"tools":[],"nextCursor":"1"}`),
		"300 pages":                    pages(false, many...),
		"a name twice":                 pages(false, `{"tools":[{"name":"add"},{"name":"add"}]}`),
		"a name in another case":       pages(false, `{"tools":[{"name":"add"}],"nextCursor":"1"}`, `{"tools":[{"name":"ADD"}]}`),
		"a member of an entry twice":   pages(false, `{"tools":[{"name":"payroll","name":"add"}]}`),
		"a member in another case":     pages(false, `{"tools":[{"name":"add","Name":"payroll"}]}`),
		"tools twice":                  pages(false, `{"tools":[],"tools":[{"name":"payroll"}]}`),
		"tools in another case":        pages(false, `{"tools":[],"Tools":[{"name":"payroll"}]}`),
		"no tools":                     pages(false, `{"prompts":[]}`),
		"tools is null":                pages(false, `{"tools":null}`),
		"an entry is a string":         pages(false, `{"tools":["payroll"]}`),
		"an entry without a name":      pages(false, `{"tools":[{"title":"payroll"}]}`),
		"half a surrogate":             pages(false, `{"tools":[{"name":"add\ud800"}]}`),
		"a cursor that is a number":    pages(false, `{"tools":[],"nextCursor":1}`),
		"17 MB":                        pages(false, `{"tools":[{"name":"add","description":"`+strings.Repeat("x", 17<<20)+`"}]}`),
		"17 MB of events":              pages(true, `{"tools":[{"name":"add","description":"`+strings.Repeat("x", 17<<20)+`"}]}`),
		"17 MB on pages":               pages(false, `{"tools":[{"name":"a","d":"`+strings.Repeat("x", 9<<20)+`"}],"nextCursor":"1"}`, `{"tools":[{"name":"b","d":"`+strings.Repeat("x", 9<<20)+`"}]}`),
		"a wrong id":                   says(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"payroll"}]}}`),
		"HTML":                         says(200, "text/html", "payroll"),
		"an error status":              says(500, "text/plain", "payroll"),
		"a result that is not there":   says(200, "application/json", `{"jsonrpc":"2.0","id":"mcpkeys-1"}`),
		"a panic":                      http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("payroll") }),
		"events that end before it":    says(200, "text/event-stream", ": payroll\n\n"),
		"a second answer in one event": says(200, "text/event-stream", "data: garbage payroll\n\n"),
	} {
		s := newSite(t, next, nil)
		r := message(legacy, "tools/list", "", "{}")
		r.token = s.Granted("tools:*")
		status, body := s.post(r)
		if status != http.StatusBadGateway || !strings.Contains(idsIn(t, body)["7"], "no usable answer") || strings.Contains(body, "payroll") {
			t.Errorf("%s: got %d %.300s, want 502 and an error", name, status, body)
		}
		if !strings.Contains(s.log.String(), `"bad_upstream"`) {
			t.Errorf("%s: log: got %s", name, s.log.String())
		}
	}
}

func TestListErrorsAndCursors(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ ID json.RawMessage }
		_ = json.Unmarshal([]byte(readAll(r)), &m)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"its own words"}}`, m.ID)
	}), nil)
	r := message(legacy, "prompts/list", "", "{}")
	r.token = s.Granted("tools:*")
	if _, body := s.post(r); body != `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"its own words"}}` {
		t.Errorf("an error of the server: got %s", body)
	}
	s.reached()
	r.body = strings.Replace(r.body, "{}", `{"cursor":"YWJj"}`, 1)
	if _, body := s.post(r); !strings.Contains(body, "-32602") || len(s.reached()) != 0 {
		t.Errorf("a cursor: got %s, want invalid params", body)
	}
}

// A list that is being answered ends when its key loses something.
func TestListEndsWithItsKey(t *testing.T) {
	for name, change := range map[string]func(*keys.Key){
		"-31401": func(k *keys.Key) { k.DisabledAt = k.CreatedAt },
		"-31503": func(k *keys.Key) { k.Scopes = []string{"tools:a"} },
	} {
		s := newSite(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:a", "tools:b"}})
		r := message(legacy, "tools/list", "", "{}")
		r.token = token
		done := make(chan string, 1)
		go func() {
			_, body := s.post(r)
			done <- body
		}()
		until(t, "the list runs", func() bool { return len(s.reached()) > 0 })
		s.Change(id, change)
		if body := <-done; !strings.Contains(idsIn(t, body)["7"], name) {
			t.Errorf("got %s, want %s", body, name)
		}
	}
}

// A handler can tell the lists whose client does not hear what else the server sends.
func TestAnswerOnly(t *testing.T) {
	var mu sync.Mutex
	var deaf []bool
	server := echo()
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		deaf = append(deaf, mcphttp.AnswerOnly(r))
		mu.Unlock()
		server.ServeHTTP(w, r)
	}), nil)
	list := message(legacy, "tools/list", "", "{}")
	inJSON, batch := list, list
	inJSON.headers = []string{"Accept: application/json"}
	batch.version, batch.body = "", "["+list.body+"]"
	for i, r := range []request{list, inJSON, batch, callOf(legacy, "add"), message(legacy, "ping", "", "{}")} {
		r.token = s.Granted("tools:add")
		s.post(r)
		if want := i == 1 || i == 2; len(deaf) != i+1 || deaf[i] != want {
			t.Errorf("AnswerOnly for %s, %s: got %v, want %v", r.headers, r.body, deaf, want)
		}
	}
}
