package middleware

import (
	"net/http"
	"time"
)

// refusedBodyWithin is how long a refused request may take to send the rest of its body.
const refusedBodyWithin = time.Second

// HurryBody bounds how long the rest of r's body may take to arrive. Call it before a
// refusal is written: net/http reads what is left of a body before it answers, so a
// caller without a key who promises a body and sends none would hold its connection for
// ever. [Problem.Write] does so by itself; this is for adapters that refuse in another
// form. A body that was sent whole costs nothing, and its connection goes on: net/http
// sets the deadline anew before it waits for the next request.
func HurryBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return // there is none; r.Body says less, for a handler may have put another one there
	}
	// A writer that cannot set a deadline, as in a test, has no connection to be held.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyWithin)) //nolint:forbidigo // of the network, not of a key
}
