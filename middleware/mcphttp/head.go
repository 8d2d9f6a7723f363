package mcphttp

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// head decides by the status and the headers of next in which form the answer comes.
func (s *sink) head(status int) {
	if s.status != 0 || status < http.StatusOK {
		return
	}
	s.status, s.got = status, s.header.Clone()
	if s.ended {
		s.orphan()
		return
	}
	kind, good := mediaType(s.got), status < http.StatusMultipleChoices
	post := s.x.r.Method == http.MethodPost
	switch {
	case encoded(s.got):
		s.fail(faultOf("its answer is encoded"))
	case good && kind == typeEvents && (len(s.calls) > 0 || s.x.r.Method == http.MethodGet):
		s.form = asEvents
		if s.bind() && s.permits() {
			s.begin(http.StatusOK, typeEvents, -1)
			s.listen()
		}
	case len(s.calls) > 0 && kind == typeJSON && s.x.passes(status):
		s.form = asJSON
		s.bind()
	case s.x.r.Method == http.MethodGet && good, s.x.r.Method == http.MethodGet && status >= http.StatusInternalServerError:
		s.fail(faultOf("no events for GET, status " + strconv.Itoa(status)))
	default:
		s.form = asStatus
		if post && len(s.calls) > 0 && good {
			s.fail(faultOf("status " + strconv.Itoa(status) + ", and neither JSON nor events"))
		}
		s.leave() // a body may not end, such as a stream that next opens for a notification
	}
}

// passes reports whether a message with the status may pass. A 404 in a session says that the
// session is gone, and other statuses would make a client look for a way to authenticate.
func (x *exchange) passes(status int) bool {
	switch {
	case status < http.StatusMultipleChoices:
		return true
	case status == http.StatusNotFound:
		return x.session == nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return false
	}
	return status >= http.StatusBadRequest
}

// initializes reports whether the request opens a session.
func (s *sink) initializes() bool {
	return s.x.session == nil && len(s.calls) == 1 && s.calls[0].message.method == mcppolicy.Initialize
}

// bind binds the session that next has opened, if it has.
func (s *sink) bind() bool {
	id := s.got.Get(mcpfront.HeaderSession)
	if !s.initializes() || id == "" || s.status >= http.StatusBadRequest {
		return true
	}
	if len(s.got[mcpfront.HeaderSession]) > 1 || !s.x.bind(id) {
		s.fail(faultOf("the id of its session cannot be used, or another session has it"))
		return false
	}
	s.bound = true
	return true
}

// orphan ends a session that was opened for a key that ended in between.
func (s *sink) orphan() {
	if id := s.got.Get(mcpfront.HeaderSession); s.initializes() && plain(id) {
		go s.x.h.deleteSession(s.x.admitted, s.x.r, id)
	}
}

// begin writes the headers.
func (s *sink) begin(status int, kind string, length int) {
	if s.began {
		return
	}
	s.began = true
	h := s.x.w.Header()
	copyHeaders(h, s.got)
	if s.x.session != nil && s.got.Get(mcpfront.HeaderSession) == s.x.session.id {
		h.Set(mcpfront.HeaderSession, s.x.session.id)
	}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	s.x.w.WriteHeader(status)
	if kind == typeEvents {
		for _, raw := range s.own {
			_, _ = s.x.w.Write(eventOf(raw))
		}
		s.own = nil
		s.flush()
	}
}

// notPassed are headers of next that this side sets, or that are about its connection or its
// way to authenticate.
var notPassed = map[string]bool{
	"Content-Length": true, "Content-Encoding": true, "Content-Type": true, "Connection": true, "Proxy-Connection": true,
	"Transfer-Encoding": true, "Upgrade": true, "Trailer": true, "Te": true, "Www-Authenticate": true, "Proxy-Authenticate": true,
	"Proxy-Authentication-Info": true, "Authentication-Info": true, "Location": true, mcpfront.HeaderSession: true,
}

func copyHeaders(to, from http.Header) {
	for name, values := range from {
		if _, own := to[name]; own || notPassed[name] || strings.HasPrefix(name, http.TrailerPrefix) || idheader.Is(name) {
			continue
		}
		to[name] = values
	}
}
