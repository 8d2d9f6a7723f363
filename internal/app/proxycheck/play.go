package proxycheck

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
)

const (
	headerKeyID = "X-Mcpkeys-Key-Id"
	headerOwner = "X-Mcpkeys-Owner"

	headerPlay = "Keyctl-Doctor" // has the id of a request, or of the request that is answered
	forged     = "forged-by-keyctl-doctor"
	ping       = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

	maxBody  = 1 << 16
	streamed = 3 // events of a stream
)

// lookalikes are all names with which CGI and WSGI take a header for name, and name itself.
func lookalikes(name string) []string {
	first, rest, more := strings.Cut(name, "-")
	if !more {
		return []string{name}
	}
	var out []string
	for _, end := range lookalikes(rest) {
		out = append(out, first+"-"+end, first+"_"+end)
	}
	return out
}

// call is a request to play.
type call struct {
	method      string // empty means GET
	key, second string // in Authorization, and in X-API-Key
	body        string
	forge       bool              // send identity headers, and headers that look like them
	forgeLower  bool              // send identity headers with lower-case names
	stream      bool              // the server answers with events
	header      map[string]string // to add
	far         bool              // from another address of this machine, if the proxy is on it
}

// reply is what came of a call.
type reply struct {
	status  int
	header  http.Header
	err     error
	arrived *arrival // nil if it did not reach the server, or if the server is not ours
}

// passed reports whether the request reached the server. If the server is not ours, all answers
// count, except redirects, and refusals that a proxy gives by itself: the status want, and the usual ones.
func (r *reply) passed(ours bool, want int) bool {
	if r.err != nil || ours {
		return r.arrived != nil
	}
	switch r.status {
	case want, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests, http.StatusUnprocessableEntity:
		return false
	}
	return r.status < http.StatusMultipleChoices || r.status >= http.StatusBadRequest && r.status < http.StatusInternalServerError
}

// ask plays c. It does not read the body of the answer.
func (e *examination) ask(ctx context.Context, c call) reply {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	res, id, err := e.send(ctx, c)
	if err != nil {
		return reply{err: err, arrived: e.server.arrival(id)}
	}
	_ = res.Body.Close()
	return reply{status: res.StatusCode, header: res.Header, arrived: e.server.arrival(id)}
}

func (e *examination) send(ctx context.Context, c call) (res *http.Response, id string, err error) {
	if c.method == "" {
		c.method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, c.method, e.URL, strings.NewReader(c.body))
	if err != nil {
		return nil, "", err
	}
	id = rand.Text()
	e.server.expect(id, c.stream)
	r.Header.Set(headerPlay, id)
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.second != "" {
		r.Header.Set("X-API-Key", c.second)
	}
	for _, name := range idheader.Names() {
		if c.forgeLower {
			r.Header[strings.ToLower(name)] = []string{forged} // sent as it is
		}
		if c.forge {
			for _, like := range lookalikes(name) {
				r.Header[like] = []string{forged}
			}
		}
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	client := e.client
	if c.far {
		client = e.far
	}
	res, err = client.Do(r)
	return res, id, err
}

// stream plays an answer of several events. The server sends each one only after the client has
// read what came before: the headers, too, because a proxy may pass on what comes with them.
func (e *examination) stream(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	res, id, err := e.send(ctx, call{key: e.Keys.Valid.Reveal(), stream: true})
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		events := bufio.NewScanner(res.Body)
		for range streamed {
			e.server.proceed(id)
			if !events.Scan() {
				err = cmp.Or(events.Err(), io.ErrUnexpectedEOF)
				break
			}
		}
	}
	if err != nil {
		e.bad("stream", fixStream, "events of a stream do not reach the client one by one")
		return
	}
	e.ok("stream", "each event of a stream reaches the client at once")
}

// server is what Examine serves in place of the server behind the proxy.
type server struct {
	patience time.Duration

	mu      sync.Mutex
	seen    map[string]*arrival      // by the ids of this run; nil if it did not arrive
	streams map[string]chan struct{} // gets a value for each event that may be sent
}

// arrival is a request that reached the server.
type arrival struct {
	header http.Header
	body   string
}

func newServer(patience time.Duration) *server {
	return &server{patience: patience, seen: map[string]*arrival{}, streams: map[string]chan struct{}{}}
}

// serve serves at l until the function that it returns is called.
func (s *server) serve(l net.Listener) (stop func()) {
	srv := &http.Server{Handler: s, ReadHeaderTimeout: s.patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	return func() {
		_ = srv.Close()
		<-done
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(headerPlay)
	if !s.expects(id) { // a client of the real server
		w.Header().Set("Retry-After", "60")
		http.Error(w, "keyctl doctor examines the proxy. Try again in a minute.", http.StatusServiceUnavailable)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody)) // compared by the caller
	s.mu.Lock()
	s.seen[id] = &arrival{header: r.Header.Clone(), body: string(body)}
	events := s.streams[id]
	s.mu.Unlock()
	if events == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_ = http.NewResponseController(w).Flush() // a lost connection shows at the client
	for range streamed {
		select {
		case <-events:
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(w, "data\n")
		_ = http.NewResponseController(w).Flush()
	}
}

func (s *server) arrival(id string) *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id]
}

// expect makes the server accept the request with that id.
func (s *server) expect(id string, stream bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[id] = nil
	if stream {
		s.streams[id] = make(chan struct{}, streamed)
	}
}

func (s *server) expects(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.seen[id]
	return ok
}

// proceed lets the server send the next event of a stream.
func (s *server) proceed(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[id] <- struct{}{} // has room
}

// bare is the cause of a failed request, without its method and URL.
func bare(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
