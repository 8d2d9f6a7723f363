package mcphttp

import (
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// A verdict is what becomes of one message.
type verdict struct {
	message *message
	needs   mcppolicy.Needs
	refused *mcppolicy.Error // it is answered with this
	list    *mcppolicy.List  // it is answered with this list
	dropped bool             // it has no answer, and next does not get it
	forward []byte           // next gets this
}

// judge decides about one message. All that is decided is decided here, on the parse of this
// package.
func (x *exchange) judge(m *message) verdict {
	v := verdict{message: m, forward: m.value.Raw()}
	switch {
	case m.method == "": // a response, to a request of the session's server
		v.dropped = x.session == nil
		return v
	case strings.HasPrefix(m.method, "notifications/") != m.isNotification():
		v.refused = mcppolicy.InvalidRequest("a request needs an id, and a notification must not have one")
	case m.flaw != nil:
		v.refused = mcppolicy.InvalidParams("invalid params: %s", m.flaw)
	case m.isNotification():
		if _, custom := x.h.methods[m.method]; !custom {
			v.dropped = !mcppolicy.Open(m.method)
			return v
		}
		fallthrough
	default:
		x.grant(&v)
	}
	if v.refused != nil && !m.isRequest() {
		v.dropped = true
	}
	return v
}

// grant judges what the caller may do.
func (x *exchange) grant(v *verdict) {
	m := v.message
	target := x.need(m)
	if target.Exists() {
		_, custom := x.h.methods[m.method]
		d := x.h.guard.Judge(x.admitted, middleware.Message{Method: m.method, Scope: target.Scope, Call: custom || mcppolicy.Counts(m.method)})
		if !d.Valid() {
			v.refused = mcppolicy.Refusal(d, target)
			return
		}
	}
	v.needs = mcppolicy.NeedsOf(m.method, target.Scope)
	switch m.method {
	case mcppolicy.Initialize:
		if x.batch {
			v.refused = mcppolicy.InvalidRequest("initialize must be the only message of its request")
		} else if x.session == nil && !x.visit.Reserve() {
			v.refused = mcpfront.ErrTooManySessions
		}
	case mcppolicy.Listen:
		if x.session == nil && !x.visit.Listen() {
			v.refused = mcpfront.ErrTooManyStreams
		} else {
			x.narrow(v)
		}
	}
	for i := range mcppolicy.Lists {
		if list := &mcppolicy.Lists[i]; m.method == list.Method {
			v.list = list
		}
	}
}

// need returns what a request needs.
func (x *exchange) need(m *message) mcppolicy.Target {
	if scope, ok := x.h.methods[m.method]; ok {
		return mcppolicy.Method(m.method, scope)
	}
	if x.modern && (m.method == "resources/subscribe" || m.method == "resources/unsubscribe") { // subscriptions/listen takes their place
		return mcppolicy.Method(m.method, "")
	}
	switch subject := mcppolicy.SubjectOf(m.method); {
	case subject == mcppolicy.Ref && m.ref == nil:
		return mcppolicy.NoReference()
	case subject == mcppolicy.Ref:
		return mcppolicy.Completion(m.ref.kind, m.ref.name, m.ref.uri)
	case subject != mcppolicy.None:
		return mcppolicy.Need(m.method, m.subject)
	case mcppolicy.Open(m.method):
		return mcppolicy.Target{}
	}
	return mcppolicy.Method(m.method, "")
}

// narrow removes the resources that were not granted from a subscription, as the protocol
// allows: the acknowledgement names what was accepted. The other notifications of that stream
// say that a list changed, and name nothing.
func (x *exchange) narrow(v *verdict) {
	m := v.message
	asked := m.params.Get("notifications")
	if !asked.Exists() || asked.Kind() == 'n' {
		return // next refuses it
	}
	wanted, err := asked.Object(listening...)
	if err != nil {
		v.refused = mcppolicy.InvalidParams("invalid params: %s", err)
		return
	}
	list := wanted.Get(wantedResources)
	if !list.Exists() || list.Kind() == 'n' {
		return
	}
	elements, granted := list.Elements(), [][]byte{}
	if elements == nil {
		v.refused = mcppolicy.InvalidParams("invalid params: %s", mcpjson.ErrType)
		return
	}
	for _, e := range elements {
		uri, err := text(e)
		if err != nil {
			v.refused = mcppolicy.InvalidParams("invalid params: %s", err)
			return
		}
		if x.identity.Allows(mcpscope.Resource(uri)) {
			granted = append(granted, e.Raw())
		}
	}
	if len(granted) == len(elements) {
		return
	}
	notifications := wanted.With(mcpjson.Edit{Name: wantedResources, Raw: array(granted)})
	v.forward = m.fields.With(mcpjson.Edit{Name: "params", Raw: m.params.With(mcpjson.Edit{Name: "notifications", Raw: notifications})})
}
