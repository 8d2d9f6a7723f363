package mcphttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// Endpoint is a guarded MCP endpoint, made by [Handler].
type Endpoint struct {
	guard    *middleware.Guard
	next     http.Handler
	front    *mcpfront.Front
	methods  map[string]string
	maxBody  int64
	timeout  time.Duration
	sessions sessions
	slots    mcpfront.Slots
	life     *life
}

// exchange is one HTTP request of a client.
type exchange struct {
	h        *Endpoint
	w        http.ResponseWriter
	r        *http.Request
	admitted context.Context // of the request as the guard admitted it, without cancellation
	identity *keys.Identity
	modern   bool // it is of a protocol version without sessions
	batch    bool
	visit    mcpfront.Visit
	session  *session // nil without one
}

var (
	wrongMethod = middleware.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "Use GET, POST or DELETE.",
	}
	wrongType = middleware.Problem{
		Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Detail: "Send the message as application/json, without Content-Encoding.",
	}
	tooLarge = middleware.Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "The message is too large.",
	}
)

// ServeHTTP implements [http.Handler].
func (h *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, ok := h.front.Admit(w, r)
	if !ok {
		return
	}
	x := &exchange{h: h, w: w, r: r, admitted: middleware.WithoutCancel(r.Context()), modern: mcpfront.Sessionless(r)}
	x.identity, _ = keys.IdentityFrom(r.Context())
	x.visit = *h.slots.Visit(x.identity.KeyID())
	if !x.enter() {
		return
	}
	defer x.visit.Leave()
	clean(r.Header)
	if x.session != nil {
		x.session.begin(x.admitted)
		defer x.session.served()
	}
	switch r.Method {
	case http.MethodPost:
		x.post()
	case http.MethodGet, http.MethodDelete:
		r.Body, r.ContentLength = http.NoBody, 0
		x.pass(nil, nil, nil)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		x.refuse(wrongMethod)
	}
}

// id is the id of the request.
func (x *exchange) id() string { return requestid.From(x.admitted) }

func (x *exchange) refuse(p middleware.Problem) { x.h.guard.Refuse(x.w, x.r, p) }

// post reads, judges and passes on the messages of a request.
func (x *exchange) post() {
	if mediaType(x.r.Header) != typeJSON || x.r.Header.Get("Content-Encoding") != "" {
		x.refuse(wrongType)
		return
	}
	within := http.NewResponseController(x.w)
	_ = within.SetReadDeadline(time.Now().Add(bodyWithin)) //nolint:forbidigo // of the network; a writer in a test has no deadline
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, x.h.maxBody))
	_ = within.SetReadDeadline(time.Time{})
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		x.refuse(tooLarge)
		return
	case err != nil:
		x.malformed(mcppolicy.CodeParseError, "the body did not arrive", mcpjson.Value{})
		return
	}
	if x.over(mcppolicy.Needs{}) { // the body took its time
		return
	}
	if messages := x.read(body); messages != nil {
		x.answer(body, messages)
	}
}

// bodyWithin is how long a body may take to arrive.
const bodyWithin = 30 * time.Second

// over answers a request if its key no longer grants what it needs, before next gets it: it was
// admitted earlier, and a revoke may have returned since.
func (x *exchange) over(needs mcppolicy.Needs) bool {
	err := needs.Check(x.admitted, x.h.guard)
	if err != nil {
		x.refuseEnded(err)
	}
	return err != nil
}

// refuseEnded answers a request that can no longer be passed on.
func (x *exchange) refuseEnded(err error) {
	var server *mcppolicy.ServerEndedError
	if !errors.As(err, &server) {
		x.h.guard.RefuseEnded(x.w, x.r, err)
		return
	}
	if server.Again {
		x.w.Header().Set("Retry-After", "1")
	}
	x.refuse(middleware.Problem{
		Status: http.StatusServiceUnavailable, Code: "server_ended",
		Detail: "This MCP server cannot be used right now: " + server.Why + ". " + server.Advice(),
	})
}

// soleMessage is the first protocol version without batches.
const soleMessage = "2025-06-18"

// read returns the messages of a body, or nil if it has answered.
func (x *exchange) read(body []byte) []*message {
	v, err := mcpjson.Parse(body)
	if err != nil {
		x.malformed(mcppolicy.CodeParseError, err.Error(), mcpjson.Value{})
		return nil
	}
	parts := []mcpjson.Value{v}
	if x.batch = v.Kind() == '['; x.batch {
		parts = v.Elements()
	}
	switch h := x.r.Header; {
	case len(parts) > mcpfront.MaxBatch:
		x.refuse(mcpfront.BatchTooLarge)
		return nil
	case len(parts) == 0, x.batch && (h.Get(headerVersion) >= soleMessage || h.Get(headerMethod) != "" || h.Get(headerName) != ""):
		x.malformed(mcppolicy.CodeInvalidRequest, "a request of this protocol version is one message", mcpjson.Value{})
		return nil
	}
	messages, ids := make([]*message, len(parts)), map[string]bool{}
	for i, part := range parts {
		m, err := readMessage(part)
		if err == nil && m.isRequest() && ids[m.key] {
			err = errID
		}
		if err != nil {
			x.malformed(mcppolicy.CodeInvalidRequest, err.Error(), mcpjson.Value{})
			return nil
		}
		ids[m.key], m.flaw = true, m.readParams()
		messages[i] = m
	}
	return messages
}

// malformed answers a body that is not judged.
func (x *exchange) malformed(code int64, why string, id mcpjson.Value) {
	x.h.guard.LogRefusal(x.admitted, "malformed_message", nil, slog.String("reason", why))
	middleware.HurryBody(x.w, x.r)
	x.reply(http.StatusBadRequest, failure(id, &mcppolicy.Error{Code: code, Message: "invalid message: " + why}))
}

// answer judges messages, passes on what is granted, and answers the rest.
func (x *exchange) answer(body []byte, messages []*message) {
	var passed []verdict
	var own [][]byte // answers
	var forward [][]byte
	same := true            // next gets the body as it is
	status := http.StatusOK // of an answer of this side
	for _, m := range messages {
		v := verdict{message: m, refused: errHeaders}
		if x.agreed(m) {
			v = x.judge(m)
		}
		switch {
		case v.dropped:
			same = false
			x.h.guard.LogRefusal(x.admitted, "message_dropped", nil, slog.String("method", m.method))
		case v.refused != nil:
			same, status = false, x.statusOf(v.refused)
			own = append(own, failure(m.id, v.refused))
		case v.list != nil:
			same = false
			l := x.list(m, *v.list)
			switch {
			case l.sent:
				return
			case l.lost:
				x.refuse(mcpfront.UnknownSession)
				return
			}
			l.write(x.w.Header())
			status = l.status
			own = append(own, l.raw)
		default:
			same = same && len(v.forward) == len(m.value.Raw())
			forward = append(forward, v.forward)
			if m.isRequest() {
				passed = append(passed, v)
			}
		}
	}
	switch {
	case x.r.Context().Err() != nil:
	case len(forward) > 0:
		if x.batch && !same {
			body = array(forward)
		} else if !same {
			body = forward[0]
		}
		x.pass(body, passed, own)
	case len(own) == 0: // nothing that has an answer
		x.malformed(mcppolicy.CodeMethodNotFound, "this server takes no such notification or response", mcpjson.Value{})
	case x.batch:
		x.reply(http.StatusOK, array(own))
	default:
		x.reply(status, own[0])
	}
}

func (x *exchange) agreed(m *message) bool {
	return single(x.r.Header) && (x.batch || x.agree(m))
}

// statusOf is the HTTP status of an error that answers the only message of a request: the older
// protocol versions have 200 for all.
func (x *exchange) statusOf(e *mcppolicy.Error) int {
	switch {
	case e == errHeaders:
		return http.StatusBadRequest
	case e == errNoAnswer:
		return http.StatusBadGateway
	case !x.modern:
		return http.StatusOK
	case e.Code == mcppolicy.CodeMethodNotFound:
		return http.StatusNotFound
	case e.Code == mcppolicy.CodeInvalidParams || e.Code == mcppolicy.CodeInvalidRequest:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// reply writes the whole answer.
func (x *exchange) reply(status int, raw []byte) {
	h := x.w.Header()
	h.Set("Content-Type", typeJSON)
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	h.Set("Cache-Control", "no-store")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(raw) // the client may be gone
}

func marshal(v any) []byte {
	raw, _ := json.Marshal(v) // strings and numbers: nothing that could fail
	return raw
}
