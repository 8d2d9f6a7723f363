package guardtest

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// InProcess sends requests to a handler without a network. Requests and answers are as net/http
// makes them, but few and small, so that the cost of a handler can be measured.
type InProcess struct {
	Handler http.Handler
	Header  http.Header // of each request

	answer answer
}

// Post sends body, and returns the answer, which is valid until the next Post.
func (p *InProcess) Post(body []byte) (status int, header http.Header, answer []byte) {
	ctx, cancel := context.WithCancel(context.Background()) // as a server ends the context of each request
	defer cancel()
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: "/mcp"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.Header.Clone(), Body: &reader{*bytes.NewReader(body)}, ContentLength: int64(len(body)),
		Host: "localhost:8080", RemoteAddr: "192.0.2.1:1234", RequestURI: "/mcp",
	}
	w := &p.answer
	w.header, w.status = http.Header{}, 0
	w.body.Reset()
	p.Handler.ServeHTTP(w, r.WithContext(ctx))
	return w.status, w.header, w.body.Bytes()
}

// UsualAllocations is how often a call of f allocates: the median of many calls, because other
// goroutines allocate too, and a call that is interrupted for some milliseconds does more.
func UsualAllocations(f func()) float64 {
	var each []float64
	for range 301 {
		each = append(each, testing.AllocsPerRun(1, f))
	}
	slices.Sort(each)
	return each[len(each)/2]
}

// BenchmarkBeside measures the same request without a guard and with one.
func BenchmarkBeside(b *testing.B, version string, plain, guarded func()) {
	run := func(name string, send func()) {
		b.Run(version+"/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
	run("plain", plain)
	run("guarded", guarded)
}

// AddsAtMost fails if the guarded request makes more than most allocations that the plain one does not.
func AddsAtMost(t *testing.T, most float64, version string, plain, guarded func()) {
	t.Helper()
	without, with := UsualAllocations(plain), UsualAllocations(guarded)
	if added := with - without; added > most {
		t.Errorf("%s: a call allocates %v times without a guard and %v times with one: %v more, want at most %v", version, without, with, added, most)
	}
}

type reader struct{ bytes.Reader }

func (*reader) Close() error { return nil }

// answer can do what a ResponseWriter of net/http can.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (*answer) FlushError() error                { return nil }
func (*answer) SetReadDeadline(time.Time) error  { return nil }
func (*answer) SetWriteDeadline(time.Time) error { return nil }
