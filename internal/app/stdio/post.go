package stdio

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// streamAfter is how long an answer may take before the client gets a stream, so that it and
// proxies see that the request is being served.
const streamAfter = time.Second

// An exchange answers one POST.
type exchange struct {
	w       http.ResponseWriter
	s       *session
	st      *stream
	batch   bool
	accepts accepted
	first   string // the method of a single request
	modern  bool   // the protocol without sessions
	formed  bool   // the single request has what that protocol demands
	legacy  bool   // it turned out that the server does not know that protocol
}

// post hands the messages to the child and answers with what comes back.
func (e *exchange) post(ctx context.Context, list []*message) {
	lines, err := e.s.admit(e.st, list)
	if err != nil {
		e.refuse(list, err)
		return
	}
	defer e.s.leave(e.st)
	for _, text := range lines {
		if err := e.s.child.send(ctx, text); err != nil {
			break // the end of the child answers what is open
		}
	}
	if len(e.st.calls) == 0 {
		e.w.WriteHeader(http.StatusAccepted)
		return
	}
	collected, whole := e.collect(ctx)
	switch {
	case ctx.Err() != nil:
	case whole:
		e.writeJSON(collected)
	default:
		e.stream(ctx, collected)
	}
}

func (e *exchange) refuse(list []*message, err error) {
	id := firstID(list)
	if err == errGone { //nolint:errorlint // admit returns it as it is
		noSession(e.w, id)
		return
	}
	writeError(e.w, http.StatusBadRequest, id, codeInvalidRequest, err.Error())
}

// collect returns the answers, if nothing else comes before them and they come soon.
func (e *exchange) collect(ctx context.Context) (list []item, whole bool) {
	starting := e.first == methodInitialize || e.first == methodDiscover
	var soon, start <-chan time.Time
	if e.accepts.stream && !starting {
		t := time.NewTimer(streamAfter)
		defer t.Stop()
		soon = t.C
	}
	if starting {
		t := time.NewTimer(e.s.b.o.Start)
		defer t.Stop()
		start = t.C
	}
	for answers := 0; answers < len(e.st.calls); {
		i, ok, _, again := e.st.queue.take()
		if ok {
			list = append(list, i)
			if !i.answer {
				return list, false
			}
			answers++
			continue
		}
		select {
		case <-again:
		case <-soon:
			return list, false
		case <-start:
			e.startTooSlow()
		case <-ctx.Done():
			return nil, false
		}
	}
	return list, e.accepts.json || e.first == methodDiscover && list[0].failed
}

// startTooSlow ends a child that does not answer its first request.
func (e *exchange) startTooSlow() {
	go e.s.end("The MCP server did not answer " + e.first + " within " + e.s.b.o.Start.String() + ", so it was ended.")
}

func (e *exchange) setHeader(contentType string, failed bool) {
	h := e.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store, no-transform")
	if e.first == methodInitialize && !failed {
		h.Set(sessionHeader, e.s.id)
	}
}

func (e *exchange) writeJSON(list []item) {
	if len(list) == 1 && list[0].text == nil { // cancelled by the client
		e.setHeader("text/event-stream", false)
		e.w.WriteHeader(http.StatusOK)
		return
	}
	e.setHeader("application/json", list[0].failed)
	e.w.WriteHeader(e.status(list[0]))
	if !e.batch {
		_, _ = e.w.Write(list[0].text)
		return
	}
	texts := make([][]byte, 0, len(list))
	for _, i := range list {
		if i.text != nil {
			texts = append(texts, i.text)
		}
	}
	_, _ = e.w.Write(append(append([]byte{'['}, bytes.Join(texts, []byte{','})...), ']'))
}

// status is the one that the protocol without sessions wants for an error. A server that does
// not know server/discover is offered as one with sessions: clients that get 400 initialize.
func (e *exchange) status(i item) int {
	switch {
	case !i.failed || !e.modern:
		return http.StatusOK
	case e.first == methodDiscover:
		// Servers without that method answer with different codes. An error to a request that lacks
		// something says nothing about the server.
		e.legacy = i.code == codeMethodNotFound || e.formed && i.code != codeVersion
		return http.StatusBadRequest
	case i.code == codeMethodNotFound:
		return http.StatusNotFound
	case i.code == codeInvalidParams || i.code == codeVersion || i.code == codeCapability:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// stream writes events until every request is answered.
func (e *exchange) stream(ctx context.Context, list []item) {
	e.setHeader("text/event-stream", false)
	out := newEvents(e.w, e.s.b.o.Stuck)
	defer out.close()
	answers := 0
	for _, i := range list {
		if i.answer {
			answers++
		}
		if out.write(i) != nil {
			return
		}
	}
	out.copy(ctx, e.st, func(i item) (more bool) {
		if i.answer {
			answers++
		}
		return answers < len(e.st.calls)
	}, answers < len(e.st.calls))
}
