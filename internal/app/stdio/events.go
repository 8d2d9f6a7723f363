package stdio

import (
	"context"
	"net/http"
	"time"
)

// events writes a stream of server-sent events.
type events struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	stuck time.Duration
}

// newEvents sends the header, so that the client knows that the stream is open.
func newEvents(w http.ResponseWriter, stuck time.Duration) *events {
	e := &events{w: w, rc: http.NewResponseController(w), stuck: stuck}
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	_ = e.rc.Flush()
	return e
}

// write sends one event. A client that does not read it in time is given up.
func (e *events) write(i item) error {
	if i.text == nil {
		return nil
	}
	_ = e.rc.SetWriteDeadline(clock().Add(e.stuck))
	for _, part := range [][]byte{[]byte("event: message\ndata: "), i.text, []byte("\n\n")} {
		if _, err := e.w.Write(part); err != nil {
			return err
		}
	}
	return e.rc.Flush()
}

// close lets the connection serve further requests.
func (e *events) close() { _ = e.rc.SetWriteDeadline(time.Time{}) }

// copy writes what comes to st until more says no, the stream is closed or the client is gone.
func (e *events) copy(ctx context.Context, st *stream, more func(item) bool, start bool) {
	for next := start; next; {
		i, ok, ended, again := st.queue.take()
		switch {
		case ok:
			if e.write(i) != nil {
				return
			}
			next = more(i)
			continue
		case ended:
			return
		}
		select {
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}
