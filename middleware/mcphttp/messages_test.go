package mcphttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// echo answers each call with its tool, in JSON, and notes nothing else.
func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := readAll(r)
		w.Header().Set("Content-Type", "application/json")
		if !strings.Contains(body, `"id"`) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if strings.Contains(body, `"initialize"`) {
			w.Header().Set("Mcp-Session-Id", "session-"+r.Header.Get("X-Session"))
		}
		_, _ = w.Write([]byte(answersTo(body)))
	})
}

// Two readers may read these messages differently, or this one cannot read them at all: they do
// not reach the server.
func TestAmbiguousMessagesAreRefused(t *testing.T) {
	s := newSite(t, echo(), nil)
	token := s.Granted("tools:add")
	for name, body := range map[string]string{
		"name twice":               `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"payroll","name":"add"}}`,
		"name in another case":     `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","NAME":"payroll"}}`,
		"name with an escape":      `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","n\u0061me":"payroll"}}`,
		"only another case":        `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"Name":"add"}}`,
		"a letter that folds":      `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","argument\u017f":{}}}`,
		"method twice":             `{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call","params":{"name":"add"}}`,
		"method in another case":   `{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call","params":{"name":"payroll"}}`,
		"params twice":             `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"payroll"},"params":{"name":"add"}}`,
		"params in another case":   `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"},"PARAMS":{"name":"payroll"}}`,
		"id twice":                 `{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/call","params":{"name":"add"}}`,
		"_meta twice":              `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","_meta":{},"_META":{}}}`,
		"a member of _meta twice":  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","_meta":{"progressToken":1,"progresstoken":2}}}`,
		"a member of ref twice":    `{"jsonrpc":"2.0","id":7,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}}`,
		"half a surrogate":         `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add\ud800"}}`,
		"a NUL":                    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add\u0000x"}}`,
		"name is a number":         `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":1}}`,
		"params is an array":       `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["add"]}`,
		"method is a number":       `{"jsonrpc":"2.0","id":7,"method":1}`,
		"an id that is rounded":    `{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"add"}}`,
		"an id that is null":       `{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"add"}}`,
		"an id that is an object":  `{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"add"}}`,
		"a call without an id":     `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add"}}`,
		"another version":          `{"jsonrpc":"1.0","id":7,"method":"tools/call","params":{"name":"add"}}`,
		"no version":               `{"id":7,"method":"tools/call","params":{"name":"add"}}`,
		"a request with a result":  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"},"result":{}}`,
		"two texts":                `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"}}{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"payroll"}}`,
		"not UTF-8":                "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"add\",\"arguments\":{\"x\":\"\xff\"}}}",
		"not JSON":                 `{"jsonrpc":"2.0","id":7,"method":"tools/call",}`,
		"a byte order mark":        "\ufeff" + `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"}}`,
		"deep":                     `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}}`,
		"nothing":                  ``,
		"an empty batch":           `[]`,
		"a batch with one ids":     `[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":7,"method":"ping"}]`,
		"a batch within a batch":   `[[{"jsonrpc":"2.0","id":7,"method":"ping"}]]`,
		"an unknown method":        `{"jsonrpc":"2.0","id":7,"method":"acme/export","params":{}}`,
		"tasks":                    `{"jsonrpc":"2.0","id":7,"method":"tasks/result","params":{"taskId":"x"}}`,
		"an unknown notification":  `{"jsonrpc":"2.0","method":"notifications/acme"}`,
		"a request as a notice":    `{"jsonrpc":"2.0","id":7,"method":"notifications/cancelled"}`,
		"a response, no session":   `{"jsonrpc":"2.0","id":7,"result":{}}`,
		"a method in another case": `{"jsonrpc":"2.0","id":7,"method":"Tools/Call","params":{"name":"payroll"}}`,
	} {
		status, answer := s.post(request{token: token, body: body})
		if got := s.reached(); len(got) != 0 {
			t.Errorf("%s: reached the server: %s", name, got[0].body)
		}
		if !strings.Contains(answer, `"error"`) || status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want an error", name, status, answer)
		}
	}
}

// What is not judged passes byte for byte: members of arguments twice, any spacing, other
// headers.
func TestWhatIsGrantedPassesByteForByte(t *testing.T) {
	s := newSite(t, echo(), nil)
	token := s.Granted("tools:add")
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"a":2,"A":3,"s":"\ud800","n":1.50e+0}}}`,
		" \n{ \"params\" : { \"arguments\":{} , \"name\" : \"\\u0061dd\" } ,\t\"method\" : \"tools/call\",\"id\":\"seven\", \"jsonrpc\" : \"2.0\" , \"more\":null }\r\n",
	} {
		status, answer := s.post(request{token: token, body: body, headers: []string{"Mcp-Param-Region: west", "X-Trace: 1", "Accept-Encoding: gzip"}})
		saw := s.reached()
		if len(saw) != 1 || saw[0].body != body {
			t.Fatalf("got %d %s, and the server saw %v, want the bytes of %s", status, answer, saw, body)
		}
		h := saw[0].header
		if h.Get("Mcp-Param-Region") != "west" || h.Get("X-Trace") != "1" || h.Get("Accept-Encoding") != "identity" {
			t.Errorf("headers: got %v", h)
		}
	}
}

// A server must not take what a client wrote for what the guard says.
func TestHeadersOfThisSideAreRemoved(t *testing.T) {
	s := newSite(t, echo(), nil)
	r := callOf(legacy, "add")
	r.token, r.version = s.Granted("tools:add"), legacy
	r.headers = []string{"X-Mcpkeys-Key-Id: forged", "x_mcpkeys_owner: forged", "X-MCPKEYS-Name: forged", "X_Mcpkeys-Any: forged", "Mcp_Name: payroll", "mcp_session_id: x", "Content_Type: x", "Cookie: kept"}
	if status, answer := s.post(r); status != http.StatusOK {
		t.Fatalf("got %d %s", status, answer)
	}
	for name, values := range s.reached()[0].header {
		if strings.Contains(strings.ToLower(name), "mcpkeys") || strings.Contains(name, "_") {
			t.Errorf("the server sees %s: %v", name, values)
		}
	}
}

// Without sessions a message is also described by headers, and a server may act by either.
func TestHeadersMustAgreeWithTheMessage(t *testing.T) {
	s := newSite(t, echo(), nil)
	token := s.Granted("tools:add", "tools:%C3%A4", "resources:*")
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `"}`
	call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add",` + meta + `}}`
	for name, c := range map[string]struct {
		version string
		headers []string
		body    string
		passes  bool
	}{
		"all there":          {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: add"}, call, true},
		"encoded":            {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: =?base64?w6Q=?="}, strings.Replace(call, `"add"`, `"ä"`, 1), true},
		"encoded wrongly":    {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: =?base64?YWRk!?="}, call, false},
		"no method":          {modern, []string{"Mcp-Name: add"}, call, false},
		"another method":     {modern, []string{"Mcp-Method: tools/list", "Mcp-Name: add"}, call, false},
		"no name":            {modern, []string{"Mcp-Method: tools/call"}, call, false},
		"another name":       {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: payroll"}, call, false},
		"two names":          {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: add", "Mcp-Name: payroll"}, call, false},
		"another version":    {legacy, nil, call, false},
		"no version":         {"", nil, call, false},
		"legacy, a name":     {legacy, []string{"Mcp-Name: payroll"}, strings.Replace(call, meta, `"x":1`, 1), false},
		"legacy, a method":   {legacy, []string{"Mcp-Method: ping"}, strings.Replace(call, meta, `"x":1`, 1), false},
		"legacy, none":       {legacy, nil, strings.Replace(call, meta, `"x":1`, 1), true},
		"version a number":   {modern, []string{"Mcp-Method: tools/call", "Mcp-Name: add"}, strings.Replace(call, `"`+modern+`"`, `1`, 1), false},
		"batch with headers": {"2025-03-26", []string{"Mcp-Method: ping"}, `[{"jsonrpc":"2.0","id":7,"method":"ping"}]`, false},
	} {
		status, answer := s.post(request{token: token, version: c.version, headers: c.headers, body: c.body})
		if reached := len(s.reached()) == 1; reached != c.passes || !c.passes && status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, passed: %v", name, status, answer, reached)
		}
	}
}

func TestOnlyJSONOfABoundedSizeIsRead(t *testing.T) {
	s := newSite(t, echo(), &mcphttp.Options{MaxBody: 1000})
	token := s.Granted("tools:add")
	body := callOf(legacy, "add").body
	for name, c := range map[string]struct {
		r    request
		want int
	}{
		"text":        {request{body: body, headers: []string{"Content-Type: text/plain"}}, 415},
		"charset":     {request{body: body, headers: []string{"Content-Type: application/json; charset=utf-16"}}, 415},
		"utf-8":       {request{body: body, headers: []string{"Content-Type: application/json; charset=UTF-8"}}, 200},
		"compressed":  {request{body: body, headers: []string{"Content-Encoding: gzip"}}, 415},
		"too large":   {request{body: strings.Replace(body, "{}", `{"x":"`+strings.Repeat("x", 1000)+`"}`, 1)}, 413},
		"PUT":         {request{verb: http.MethodPut, body: body}, 405},
		"HEAD":        {request{verb: http.MethodHead}, 405},
		"17 messages": {request{body: "[" + strings.Repeat(`{},`, 16) + "{}]"}, 400},
	} {
		c.r.token = token
		resp, answer := s.do(c.r)
		if resp.StatusCode != c.want || c.want == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s: got %d %s, want %d", name, resp.StatusCode, answer, c.want)
		}
	}
}

// Custom methods need their scope, and no other method does.
func TestMethods(t *testing.T) {
	s := newSite(t, echo(), &mcphttp.Options{Methods: map[string]string{"acme/export": "tools:export"}})
	body := `{"jsonrpc":"2.0","id":7,"method":"acme/export","params":{}}`
	if _, answer := s.post(request{token: s.Granted("tools:add"), body: body}); !strings.Contains(answer, "-32601") || len(s.reached()) != 0 {
		t.Errorf("without the scope: got %s, want an unknown method", answer)
	}
	if _, answer := s.post(request{token: s.Granted("tools:export"), body: body}); !strings.Contains(answer, "result") || len(s.reached()) != 1 {
		t.Errorf("with the scope: got %s, want the server's answer", answer)
	}
	for method, scope := range map[string]string{"tools/call": "tools:x", "ping": "tools:x", "": "tools:x", "acme/x": "tools:*", "acme/y": ""} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Methods %q: %q: got no panic, want one", method, scope)
				}
			}()
			mcphttp.Handler(s.Guard(nil), echo(), &mcphttp.Options{Methods: map[string]string{method: scope}})
		}()
	}
}

// Each message of a batch is judged and charged: what is refused is answered here, the rest by
// the server, in one answer.
func TestBatches(t *testing.T) {
	s := newSite(t, echo(), nil)
	token := s.Granted("tools:add")
	call := func(id, tool string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `"}}`
	}
	all := "[ " + call("1", "add") + ", " + call("2", "add") + "]"
	if _, answer := s.post(request{token: token, body: all}); answer != answersTo(all) {
		t.Errorf("granted: got %s, want %s", answer, answersTo(all))
	}
	if got := s.reached(); got[0].body != all {
		t.Errorf("granted: the server saw %s, want %s", got[0].body, all)
	}
	_, answer := s.post(request{token: token, body: "[" + call("1", "add") + "," + call("2", "payroll") + "," + call("3", "add") + "]"})
	if got := s.reached(); len(got) != 1 || got[0].body != "["+call("1", "add")+","+call("3", "add")+"]" {
		t.Errorf("one denied: the server saw %v", got)
	}
	ids := idsIn(t, answer)
	if len(ids) != 3 || !strings.Contains(ids["2"], `unknown tool \"payroll\"`) || !strings.Contains(ids["1"], "result") || !strings.Contains(ids["3"], "result") {
		t.Errorf("one denied: got %s", answer)
	}
	if _, answer := s.post(request{token: token, body: "[" + call("1", "payroll") + "]"}); len(idsIn(t, answer)) != 1 || len(s.reached()) != 0 {
		t.Errorf("all denied: got %s", answer)
	}
	if status, _ := s.post(request{token: token, version: "2025-06-18", body: all}); status != http.StatusBadRequest || len(s.reached()) != 0 {
		t.Errorf("batch in 2025-06-18: got %d, want 400", status)
	}
}
