package middleware

import (
	"net/http"
	"time"
)

// refusedBodyWithin is how long a refused request may take to send the rest of its body.
const refusedBodyWithin = time.Second

// HurryBody limits how long the rest of r's body may take to arrive. Call it before a refusal
// is written: net/http reads the rest of a body before it answers, so a caller without a key
// that announces a body and sends none would hold its connection without limit. [Problem.Write]
// calls it; this is for adapters that refuse in another form. For a body that was sent
// completely nothing changes, and its connection stays open: net/http sets the deadline again
// before it waits for the next request.
func HurryBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return // there is no body; r.Body may be another one that a handler set
	}
	// A writer that cannot set a deadline, as in a test, has no connection to hold.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyWithin)) //nolint:forbidigo // of the network, not of a key
}
