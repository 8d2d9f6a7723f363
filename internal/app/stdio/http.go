package stdio

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	sessionHeader = "Mcp-Session-Id"
	versionHeader = "Mcp-Protocol-Version"

	firstModern = "2026-07-28" // the first version without sessions
)

// ServeHTTP serves one MCP endpoint, whatever its path.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, ok := keys.IdentityFrom(r.Context())
	if !ok {
		b.o.Logger.ErrorContext(r.Context(), "a request reached the MCP server without a guard")
		writeError(w, http.StatusInternalServerError, nil, codeInternal, "This endpoint is not guarded.")
		return
	}
	switch r.Method {
	case http.MethodPost:
		b.servePost(w, r, who)
	case http.MethodGet:
		b.serveGet(w, r, who)
	case http.MethodDelete:
		b.serveDelete(w, r, who)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		writeError(w, http.StatusMethodNotAllowed, nil, codeInvalidRequest, "Use GET, POST or DELETE.")
	}
}

func (b *Backend) servePost(w http.ResponseWriter, r *http.Request, who *keys.Identity) {
	accepts := accepted{}.read(r.Header)
	if !accepts.json && !accepts.stream {
		writeError(w, http.StatusNotAcceptable, nil, codeInvalidRequest, "Accept must have application/json and text/event-stream.")
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		writeError(w, http.StatusUnsupportedMediaType, nil, codeInvalidRequest, "Content-Type must be application/json.")
		return
	}
	list, batch, ok := b.readBody(w, r)
	if !ok {
		return
	}
	e := &exchange{w: w, batch: batch, accepts: accepts, modern: modern(r.Header, list)}
	if !batch {
		e.first, e.formed = list[0].method, list[0].version != "" && list[0].capable
	}
	s, ok := b.sessionOf(e, r, who, list)
	if !ok {
		return
	}
	e.s = s
	defer b.finish(e, who)
	e.st = newStream(accepts.stream && e.first != methodDiscover)
	e.post(r.Context(), list)
}

// finish counts the request as over. A process that only a failed probe needed ends.
func (b *Backend) finish(e *exchange, who *keys.Identity) {
	e.s.done()
	if e.legacy {
		b.mu.Lock()
		b.caller(who.KeyID()).legacy = clock().Add(legacyFor)
		b.mu.Unlock()
		_ = e.s.endIfIdle("The MCP server does not know the protocol without sessions.")
	}
}

// readBody reads the messages of a request, or answers what is wrong with it.
func (b *Backend) readBody(w http.ResponseWriter, r *http.Request) (list []*message, batch, ok bool) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(b.o.MaxRequest)))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		writeError(w, http.StatusRequestEntityTooLarge, nil, codeInvalidRequest, "The request is larger than "+strconv.Itoa(b.o.MaxRequest)+" bytes.")
		return nil, false, false
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, nil, codeInvalidRequest, "The request could not be read.")
		return nil, false, false
	}
	list, batch, err = parseAll(text, true)
	if err != nil {
		writeError(w, http.StatusBadRequest, nil, codeParse, "Not a valid message: "+err.Error()+".")
		return nil, false, false
	}
	return list, batch, true
}

// modern reports whether a request belongs to the protocol without sessions.
func modern(h http.Header, list []*message) bool {
	if h.Get(sessionHeader) != "" || len(list) != 1 || list[0].method == methodInitialize {
		return false
	}
	return h.Get(versionHeader) >= firstModern || list[0].version != "" || list[0].method == methodDiscover
}

// sessionOf returns the session that serves the messages, in use, or answers why there is none.
func (b *Backend) sessionOf(e *exchange, r *http.Request, who *keys.Identity, list []*message) (*session, bool) {
	id := firstID(list)
	if e.modern {
		return b.modernSession(e, r, who, list[0])
	}
	if given := r.Header.Get(sessionHeader); given != "" {
		s := b.session(given, who.KeyID())
		if s == nil {
			noSession(e.w, id)
			return nil, false
		}
		if e.first == methodInitialize {
			s.done()
			writeError(e.w, http.StatusBadRequest, id, codeInvalidRequest, "This session is initialized already.")
			return nil, false
		}
		return s, true
	}
	if e.first != methodInitialize || e.batch || !list[0].request() {
		writeError(e.w, http.StatusBadRequest, id, codeInvalidRequest, "Mcp-Session-Id is missing: send initialize first.")
		return nil, false
	}
	s, err := b.initialize(r.Context(), who)
	return s, startFailed(e.w, id, err)
}

func (b *Backend) modernSession(e *exchange, r *http.Request, who *keys.Identity, m *message) (*session, bool) {
	id := firstID([]*message{m})
	if problem := mismatch(r.Header, m); problem != "" {
		writeError(e.w, http.StatusBadRequest, id, codeHeader, problem)
		return nil, false
	}
	if !m.request() && !b.runs(who.KeyID()) {
		e.w.WriteHeader(http.StatusAccepted) // it is about nothing
		return nil, false
	}
	if m.method == methodDiscover && b.knownLegacy(who.KeyID()) {
		writeError(e.w, http.StatusBadRequest, id, codeMethodNotFound, "This MCP server needs sessions: send initialize.")
		return nil, false
	}
	s, err := b.ofKey(r.Context(), who)
	return s, startFailed(e.w, id, err)
}

func (b *Backend) runs(keyID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byKey[keyID] != nil
}

func (b *Backend) knownLegacy(keyID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.callers[keyID]
	return c != nil && clock().Before(c.legacy)
}

// serveGet opens the stream of a session for messages that answer nothing.
func (b *Backend) serveGet(w http.ResponseWriter, r *http.Request, who *keys.Identity) {
	given := r.Header.Get(sessionHeader)
	if given == "" {
		w.Header().Set("Allow", "POST")
		writeError(w, http.StatusMethodNotAllowed, nil, codeInvalidRequest, "There is no stream without a session: use POST.")
		return
	}
	if accepts := (accepted{}).read(r.Header); !accepts.stream {
		writeError(w, http.StatusNotAcceptable, nil, codeInvalidRequest, "Accept must have text/event-stream.")
		return
	}
	s := b.session(given, who.KeyID())
	if s == nil {
		noSession(w, nil)
		return
	}
	defer s.done()
	st := newStream(true)
	if !s.listen(st) {
		writeError(w, http.StatusConflict, nil, codeInvalidRequest, "This session has a stream already.")
		return
	}
	defer s.leave(st)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	out := newEvents(w, b.o.Stuck)
	defer out.close()
	out.copy(r.Context(), st, func(item) bool { return true }, true)
}

func (b *Backend) serveDelete(w http.ResponseWriter, r *http.Request, who *keys.Identity) {
	s := b.session(r.Header.Get(sessionHeader), who.KeyID())
	if s == nil {
		noSession(w, nil)
		return
	}
	s.done()
	s.end("The session was ended.")
	w.WriteHeader(http.StatusNoContent)
}

// accepted is what a client takes as an answer.
type accepted struct{ json, stream bool }

func (a accepted) read(h http.Header) accepted {
	values := h.Values("Accept")
	if len(values) == 0 {
		return accepted{true, true}
	}
	for _, part := range strings.Split(strings.Join(values, ","), ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "*/*":
			return accepted{true, true}
		case "application/json", "application/*":
			a.json = true
		case "text/event-stream", "text/*":
			a.stream = true
		}
	}
	return a
}
