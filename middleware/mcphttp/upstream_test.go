package mcphttp_test

import (
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"testing"
)

// says is a server that answers every request alike.
func says(status int, kind, body string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Add(name, value)
		}
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

const good = `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`

// Whatever a server answers, a client hears something that it can read, once for its call.
func TestServersThatMisbehave(t *testing.T) {
	large := strings.Repeat("x", 17<<20)
	for name, c := range map[string]struct {
		next   http.Handler
		status int
		answer string // contained in what the client hears of its call
	}{
		"HTML":                      {says(200, "text/html", "<html>"), 502, "no usable answer"},
		"no type":                   {says(200, "", ""), 502, "no usable answer"},
		"nothing":                   {http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 502, "no usable answer"},
		"202":                       {says(202, "", ""), 502, "no usable answer"},
		"garbage":                   {says(200, "application/json", "garbage"), 502, "no usable answer"},
		"half a message":            {says(200, "application/json", good[:20]), 502, "no usable answer"},
		"NUL":                       {says(200, "application/json", good+"\x00"), 502, "no usable answer"},
		"two messages":              {says(200, "application/json", good+good), 502, "no usable answer"},
		"a wrong id":                {says(200, "application/json", strings.Replace(good, "7", "8", 1)), 502, "no usable answer"},
		"an id of another type":     {says(200, "application/json", strings.Replace(good, "7", `"7"`, 1)), 502, "no usable answer"},
		"id twice":                  {says(200, "application/json", strings.Replace(good, `"id":7`, `"id":7,"ID":8`, 1)), 502, "no usable answer"},
		"not UTF-8":                 {says(200, "application/json", strings.Replace(good, "content", "\xff", 1)), 502, "no usable answer"},
		"encoded":                   {says(200, "application/json", good, "Content-Encoding: gzip"), 502, "no usable answer"},
		"redirect":                  {says(302, "", "", "Location: https://elsewhere.example/"), 502, "no usable answer"},
		"500":                       {says(500, "text/plain", "goroutine 1 [running]"), 502, "no usable answer"},
		"401":                       {says(401, "application/json", good, `WWW-Authenticate: Bearer resource_metadata="https://elsewhere.example"`), 502, "no usable answer"},
		"403":                       {says(403, "text/plain", "no"), 502, "no usable answer"},
		"407":                       {says(407, "text/plain", "no", "Proxy-Authenticate: Basic"), 502, "no usable answer"},
		"400 in plain text":         {says(400, "text/plain", "Bad Request: secret"), 400, "refused the request with status 400"},
		"400 in JSON":               {says(400, "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"its own words"}}`), 400, "its own words"},
		"an error without id":       {says(200, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"its own words"}}`), 200, "its own words"},
		"17 MB that are not JSON":   {says(200, "application/json", large), 502, "no usable answer"},
		"panic":                     {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }), 502, "no usable answer"},
		"abort":                     {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), 502, "no usable answer"},
		"events: nothing":           {says(200, "text/event-stream", ""), 200, "no usable answer"},
		"events: garbage":           {says(200, "text/event-stream", "data: garbage\n\n"), 200, "no usable answer"},
		"events: half an event":     {says(200, "text/event-stream", "data: "+good[:20]), 200, "no usable answer"},
		"events: a wrong id":        {says(200, "text/event-stream", "data: "+strings.Replace(good, "7", "8", 1)+"\n\n"), 200, "no usable answer"},
		"events: carriage returns":  {says(200, "text/event-stream", "data: "+strings.Replace(good, "7", "8", 1)+"\rdata: x\n\n"), 200, "no usable answer"},
		"events: 17 MB":             {says(200, "text/event-stream", "x: "+large), 200, "no usable answer"},
		"events: good, then others": {says(200, "text/event-stream", "data: "+good+"\n\ndata: "+good+"\n\ndata: garbage\n\n"), 200, `"content":[]`},
		"events: a mark before":     {says(200, "text/event-stream", "\ufeffdata: "+good+"\n\n"), 200, ""},
		"events: lines":             {says(200, "text/event-stream", "id: 1\r\nevent: message\r\ndata:"+good[:20]+"\r\ndata:"+good[20:]+"\r\n\r\n"), 200, ""},
	} {
		s := newSite(t, c.next, nil)
		r := callOf(legacy, "add")
		r.token, r.version = s.Granted("tools:add"), legacy
		resp, body := s.do(r)
		if resp.StatusCode != c.status {
			t.Errorf("%s: got %d %.200s, want %d\n%.500s", name, resp.StatusCode, body, c.status, s.log.String())
		}
		for _, header := range []string{"Www-Authenticate", "Proxy-Authenticate", "Location", "Content-Encoding"} {
			if got := resp.Header.Get(header); got != "" {
				t.Errorf("%s: got %s: %s", name, header, got)
			}
		}
		if strings.Contains(body, "secret") || strings.Contains(body, "goroutine") {
			t.Errorf("%s: got the server's text: %s", name, body)
		}
		if c.answer == "" {
			continue
		}
		if got := idsIn(t, body)["7"]; !strings.Contains(got, c.answer) {
			t.Errorf("%s: got %.300s, want an answer to 7 with %q", name, body, c.answer)
		}
	}
}

func TestCompressedAnswer(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(good))
		_ = z.Close()
	}), nil)
	for _, r := range []request{callOf(legacy, "add"), message(legacy, "tools/list", "", "{}")} {
		r.token = s.Granted("tools:add")
		if status, body := s.post(r); status != http.StatusBadGateway || !strings.Contains(body, "no usable answer") {
			t.Errorf("got %d %q, want 502", status, body)
		}
	}
}

// Streams pass byte for byte: comments, ids, times to wait, events of other names.
func TestEventsPassByteForByte(t *testing.T) {
	stream := ": hello\n\nid: 1\ndata: \n\nretry: 1000\n\nevent: message\nid: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n" +
		"event: other\ndata: not a message\n\n: between\nid:3\ndata:{\"jsonrpc\":\"2.0\",\ndata: \"id\":7,\"result\":{\"content\":[ ]}}\nunknown: x\n\n"
	s := newSite(t, says(200, "text/event-stream", stream, "X-Own: kept", "Mcp-Session-Id: forged"), nil)
	r := callOf(legacy, "add")
	r.token, r.version = s.Granted("tools:add"), legacy
	resp, body := s.do(r)
	if body != stream || resp.Header.Get("X-Own") != "kept" || resp.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("got %v\n%s\nwant\n%s", resp.Header, body, stream)
	}
}

// The next event is sent when it has arrived, not when the stream ends.
func TestEventsArriveAtOnce(t *testing.T) {
	more := make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"))
		<-more
		_, _ = w.Write([]byte("data: " + good + "\n\n"))
	}), nil)
	r := callOf(legacy, "add")
	r.token = s.Granted("tools:add")
	resp := s.stream(r)
	buf := make([]byte, 1000)
	n, err := resp.Body.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "notifications/message") {
		t.Errorf("got %q, %v, want the first event", buf[:n], err)
	}
	close(more)
}

// endless writes an answer of n bytes, in pieces, with its id at the end.
func endless(w http.ResponseWriter, n int, before, after string) {
	_, _ = w.Write([]byte(before + `{"result":{"content":[{"type":"text","text":"`))
	piece := []byte(strings.Repeat("x", 64<<10))
	for ; n > 0; n -= len(piece) {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(`"}],"cacheScope" : "public" },"jsonrpc":"2.0","id":` + after))
}

// An answer of any length passes, without being held, and must be one to the call.
func TestLongAnswers(t *testing.T) {
	const size = 20 << 20
	for name, c := range map[string]struct {
		kind, before, after string
		whole               bool
	}{
		"JSON":             {"application/json", "", "7}", true},
		"events":           {"text/event-stream", "id: 1\nevent: message\ndata: ", "7}\nretry: 1\n\n: more\n\n", true},
		"a wrong id":       {"application/json", "", "8}", false},
		"half":             {"application/json", "", "7", false},
		"events, wrong id": {"text/event-stream", "data: ", "8}\n\n", false},
		"id twice":         {"application/json", "", `7,"id":8}`, false},
		"another case":     {"application/json", "", `7,"Result":{}}`, false},
	} {
		s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			endless(w, size, c.before, c.after)
		}), nil)
		r := callOf(legacy, "add")
		r.token = s.Granted("tools:add")
		resp := s.stream(r)
		n, tail, err := 0, "", error(nil)
		for buf := make([]byte, 1<<20); err == nil; {
			var k int
			k, err = resp.Body.Read(buf)
			n += k
			if tail += string(buf[:k]); len(tail) > 400 {
				tail = tail[len(tail)-400:]
			}
		}
		ended := err.Error() == "EOF"
		if ended != c.whole || c.whole && (n < size || !strings.Contains(tail, `"cacheScope" :"private"`) && !strings.Contains(tail, `"cacheScope" : "private"`) || !strings.HasSuffix(tail, c.after)) {
			t.Errorf("%s: got %d bytes, %v, ending with %s\n%s", name, n, err, tail, s.log.String())
		}
	}
}

// A server that hangs does not keep a client that leaves, nor the end of its key.
func TestServerThatIgnoresItsContext(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s := newSite(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }), nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := callOf(legacy, "add")
	r.token = s.Granted("tools:add")
	done := make(chan error, 1)
	go func() {
		_, err := http.DefaultTransport.RoundTrip(s.request(r).WithContext(ctx))
		done <- err
	}()
	until(t, "the call runs", func() bool { return len(s.reached()) > 0 })
	cancel()
	if err := <-done; err == nil {
		t.Error("got an answer, want none")
	}
}

// A GET that is refused keeps its status, because clients take 405 for no stream.
func TestGETAndDELETE(t *testing.T) {
	for _, c := range []struct {
		verb         string
		status, want int
	}{
		{http.MethodGet, 405, 405},
		{http.MethodGet, 400, 400},
		{http.MethodGet, 500, 502},
		{http.MethodGet, 401, 502},
		{http.MethodGet, 200, 502},
		{http.MethodDelete, 405, 405},
		{http.MethodDelete, 200, 200},
		{http.MethodDelete, 500, 502},
	} {
		s := newSite(t, says(c.status, "text/plain", "words"), nil)
		resp, body := s.do(request{verb: c.verb, token: s.Granted("tools:a"), version: legacy})
		if resp.StatusCode != c.want || strings.Contains(body, "words") {
			t.Errorf("%s answered %d: got %d %s, want %d", c.verb, c.status, resp.StatusCode, body, c.want)
		}
	}
	s := newSite(t, says(202, "", ""), nil)
	if status, body := s.post(request{token: s.Granted("tools:a"), body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`}); status != 202 || body != "" {
		t.Errorf("notification: got %d %s, want 202", status, body)
	}
}
