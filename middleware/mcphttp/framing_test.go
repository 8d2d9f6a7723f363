package mcphttp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

// inPieces answers a POST with a stream, cut where cuts say.
type inPieces struct {
	stream string
	cuts   []int
}

func (p *inPieces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	from := 0
	for _, to := range append(p.cuts, len(p.stream)) {
		if _, err := io.WriteString(w, p.stream[from:to]); err != nil {
			return
		}
		from = to
	}
}

// heard is what a client reads of a stream, by the specification of server-sent events: the data
// of each event.
func heard(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var data []string
	for {
		line, rest, ended := strings.Cut(stream, "\n")
		if !ended {
			return events
		}
		stream = rest
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "":
			if data != nil {
				events = append(events, strings.Join(data, "\n"))
			}
			data = nil
		case name == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
}

const (
	note    = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}`
	payroll = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"doc://payroll"}}`
)

// framings are streams with all that the framing has. Each must pass byte for byte.
var framings = map[string]string{
	"LF":       "id: 1\nevent: message\ndata: " + note + "\n\ndata: " + good + "\n\n",
	"CRLF":     "id: 1\r\nretry: 10\r\ndata: " + note + "\r\n\r\n: comment\r\n\r\ndata:" + good + "\r\n\r\n",
	"both":     "data: " + note + "\r\n\n: x\n\r\nid\ndata: " + good + "\n\r\n",
	"mark":     "\ufeffdata: " + note + "\n\ndata: " + good + "\n\n",
	"mark, id": "\ufeffid: 1\r\ndata: " + note + "\r\n\r\ndata: " + good + "\r\n\r\n",
	"marks":    "\ufeff\ufeffdata: x\ndata: " + note + "\n\n\ufeffdata: junk\n\n\ufeffdata: junk\ndata: " + good + "\n\n",
	"lines":    "data: " + good[:17] + "\ndata: " + good[17:24] + "\r\ndata:" + good[24:] + "\nid: 2\n\n",
	"fields":   "datax: y\ndata : y\n data: y\nidx\nunknown\n:\n:data: y\ndata: " + good + "\nretry: 3\n\n",
	"empty":    "data\n\ndata:\n\ndata: \ndata\n\nevent: ping\ndata: now\n\n\n\n\r\ndata: " + good + "\n\n",
}

func (s *site) framed(version, stream string, cuts ...int) string {
	s.t.Helper()
	s.turnTo(&inPieces{stream, cuts})
	r := message(version, "resources/read", "doc://seen", `{"uri":"doc://seen"}`)
	r.token = s.secret
	resp := s.stream(r)
	body, _ := io.ReadAll(resp.Body) // a stream may break off
	_ = resp.Body.Close()
	return string(body)
}

func newFramed(t testing.TB) *site {
	t.Helper()
	s := newSite(t, nil, nil)
	s.secret = s.Granted(mcpscope.Resource("doc://seen"))
	return s
}

// A stream passes the same way wherever the network cuts it.
func TestFramingAtEveryCut(t *testing.T) {
	s := newFramed(t)
	for name, stream := range framings {
		all := make([]int, len(stream)-1)
		for at := range all {
			all[at] = at + 1
			if got := s.framed(legacy, stream, at+1); got != stream {
				t.Fatalf("%s, cut at %d %q: got\n%q\nwant\n%q", name, at+1, stream[:at+1], got, stream)
			}
		}
		if got := s.framed(legacy, stream, all...); got != stream {
			t.Errorf("%s, byte by byte: got\n%q\nwant\n%q", name, got, stream)
		}
	}
}

// A carriage return alone ends a line for some readers only. Wherever it is, and wherever the
// stream is cut, no client reads what was not judged.
func TestCarriageReturnAtEveryPlace(t *testing.T) {
	s := newFramed(t)
	hidden := "data: " + payroll
	for name, stream := range framings {
		for at := range len(stream) + 1 {
			if rest := stream[at:]; strings.HasPrefix(rest, "\n") {
				continue // there it begins a line end
			}
			for _, evil := range []string{"\r", "\r" + hidden + "\r\r"} {
				broken := stream[:at] + evil + stream[at:]
				for _, cut := range []int{at, at + 1, at + len(evil)} {
					if got := s.framed(legacy, broken, min(cut, len(broken))); strings.Contains(strings.Join(heard(got), "\n"), "payroll") {
						t.Fatalf("%s, %q at %d, cut at %d: a client reads %q", name, evil, at, cut, heard(got))
					}
				}
			}
		}
	}
}

// A message that is changed stays one event, with the other lines as they were.
func TestChangedEvents(t *testing.T) {
	s := newFramed(t)
	public := `{"jsonrpc":"2.0","id":7,"result":{"contents":[],"cacheScope":"public"}}`
	for name, c := range map[string]struct{ stream, want string }{
		"mark":                   {"\ufeffdata: PUBLIC\n\n", "\ufeffdata: PRIVATE\n\n"},
		"a mark within":          {": x\n\n\ufeffdata: junk\r\nid: 1\r\ndata: PUBLIC\r\n\r\n", ": x\n\n\ufeffdata: junk\r\nid: 1\r\ndata: PRIVATE\n\r\n"},
		"a mark before comments": {"\ufeff: x\ndata: PUBLIC\n\n", "\ufeff: x\ndata: PRIVATE\n\n"},
	} {
		with := func(text string) string {
			return strings.NewReplacer("PUBLIC", public, "PRIVATE", strings.Replace(public, "public", "private", 1)).Replace(text)
		}
		for at := range len(with(c.stream)) {
			if got := s.framed(modern, with(c.stream), at); got != with(c.want) {
				t.Fatalf("%s, cut at %d: got\n%q\nwant\n%q", name, at, got, with(c.want))
			}
		}
	}
}

// A message that is too long to be held passes while it arrives. Its framing is read as strictly.
func TestLongFraming(t *testing.T) {
	s := newFramed(t)
	answer := `{"jsonrpc":"2.0","id":7,"result":{"contents":["` + strings.Repeat("x", 1<<20) + `"]}}`
	events := map[string]string{
		"LF":    ": x\n\nid: 1\ndata: " + answer + "\nretry: 3\n\n" + "data: " + note + "\n\n",
		"CRLF":  "id: 1\r\ndata: " + answer + "\r\nretry: 3\r\n\r\n: x\r\n\r\n",
		"mark":  "\ufeffdata: " + answer + "\n\n\ufeffdata: junk\n\n",
		"marks": ": x\n\n\ufeffdata: junk\ndata: " + answer + "\nidx: y\n\ufeffdata: junk\n\n",
		"names": "datax: y\ndata: " + answer + "\ndatax: y\n\n",
	}
	for name, stream := range events {
		end := strings.LastIndex(stream, answer) + len(answer)
		for _, cut := range []int{5, end - 1, end, end + 1, end + 2, end + 3, len(stream) - 1} {
			if got := s.framed(legacy, stream, cut); got != stream {
				t.Errorf("%s, cut at %d: got %d bytes %.20q … %q, want %d bytes … %q", name, cut, len(got), got, got[max(0, len(got)-60):], len(stream), stream[len(stream)-60:])
			}
		}
		hidden := "data: " + payroll
		for _, at := range []int{3, end - len(answer) + 20, end - 5, end, end + 3} {
			if strings.HasPrefix(stream[at:], "\n") {
				continue
			}
			for _, evil := range []string{"\r" + hidden + "\r\r", "\r\r" + hidden + "\r\r"} {
				broken := stream[:at] + evil + stream[at:]
				ends := at + len(evil)
				for _, cuts := range [][]int{{at + 1}, {ends}, {at, at + 1, at + 2, ends - 1, ends}} {
					got := heard(s.framed(legacy, broken, cuts...))
					if all := strings.Join(got, "\n"); strings.Contains(all, "payroll") {
						t.Errorf("%s, %q at %d of %d, cut at %d: a client reads %d events, one of them hidden", name, evil, at, end, cuts, len(got))
					}
				}
			}
		}
	}
}

// The same with streams that a fuzzer thinks of: what a client reads does not depend on the cuts,
// and each message that it reads was judged.
func FuzzFraming(f *testing.F) {
	s := newFramed(f)
	for _, stream := range framings {
		f.Add(stream, uint16(7))
		f.Add(strings.ReplaceAll(stream, note, payroll), uint16(20))
	}
	f.Fuzz(func(t *testing.T, stream string, at uint16) {
		if len(stream) > 4096 || stream == "" {
			return
		}
		s.t = t
		whole := s.framed(legacy, stream)
		if cut := s.framed(legacy, stream, int(at)%len(stream)); cut != whole {
			t.Errorf("%q cut at %d: got %q, want %q", stream, int(at)%len(stream), cut, whole)
		}
		for _, event := range heard(whole) {
			var m struct {
				Method string
				Params struct{ URI string }
			}
			if json.Unmarshal([]byte(event), &m) == nil && m.Method == "notifications/resources/updated" && m.Params.URI == "doc://payroll" {
				t.Errorf("%q: a client reads %q", stream, event)
			}
		}
	})
}
