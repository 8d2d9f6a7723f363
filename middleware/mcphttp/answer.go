package mcphttp

import (
	"bytes"
	"log/slog"
	"net/http"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// pass returns what may be sent of a text of next, one message or a batch: the same bytes if
// nothing of it is changed, nil for nothing.
func (s *sink) pass(data []byte) ([]byte, error) {
	v, err := mcpjson.Parse(data)
	if err != nil {
		return nil, faultOf("a message of it: " + err.Error())
	}
	parts := v.Elements()
	if v.Kind() != '[' {
		parts = []mcpjson.Value{v}
	}
	var out [][]byte
	same := true
	for _, part := range parts {
		raw, err := s.passOne(part)
		if err != nil {
			return nil, err
		}
		same = same && bytes.Equal(raw, part.Raw())
		if raw != nil {
			out = append(out, raw)
		}
	}
	switch {
	case len(out) == 0:
		return nil, nil
	case same:
		return data, nil
	case v.Kind() == '[':
		return array(out), nil
	}
	return out[0], nil
}

func (s *sink) passOne(v mcpjson.Value) ([]byte, error) {
	m, err := readMessage(v)
	if err != nil {
		return nil, faultOf("a message of it: " + err.Error())
	}
	if m.method == "" {
		return s.passAnswer(m)
	}
	raw, err := s.x.passed(m)
	if raw != nil && m.method == "notifications/subscriptions/acknowledged" {
		s.acknowledged(m)
	}
	return raw, err
}

// passed returns what may be sent of a request or a notification of next; nil for nothing.
func (x *exchange) passed(m *message) ([]byte, error) {
	if m.isRequest() {
		if x.session == nil { // its response could not be bound to a key
			return nil, nil
		}
		return m.value.Raw(), nil
	}
	if err := m.readParams(); err != nil {
		return nil, faultOf("a notification of it: " + err.Error())
	}
	if m.method == "notifications/resources/updated" && !x.mayHear(m) {
		return nil, nil
	}
	return m.value.Raw(), nil
}

// mayHear reports whether the key is valid and granted the resource now.
func (x *exchange) mayHear(m *message) bool {
	uri, err := text(m.params.Get("uri"))
	if err != nil {
		return false
	}
	now, err := x.h.guard.RecheckFor(x.admitted)
	return err == nil && now.Allows(mcpscope.Resource(uri))
}

// passAnswer passes an answer to a request that this stream, or this session, has asked.
func (s *sink) passAnswer(m *message) ([]byte, error) {
	c := s.callOf(m)
	if c == nil {
		s.x.h.guard.LogRefusal(s.x.admitted, "answer_dropped", nil, slog.String("path", s.x.r.URL.Path))
		return nil, nil
	}
	if len(s.calls) != 1 || s.x.batch {
		if err := c.needs.Check(s.x.admitted, s.x.h.guard); err != nil {
			s.answering = append(s.answering, c)
			return failure(m.id, mcppolicy.Ending(err, c.needs, s.x.id())), nil
		}
	}
	edits, err := s.edits(m, c)
	if err != nil {
		return nil, err
	}
	s.answering = append(s.answering, c)
	if m.key == "" {
		edits = append(edits, mcpjson.Edit{Name: "id", Raw: c.message.id.Raw()})
	}
	if len(edits) == 0 {
		return m.value.Raw(), nil
	}
	return m.fields.With(edits...), nil
}

// callOf finds the request that m answers. An error without an id can only be about the only
// one.
func (s *sink) callOf(m *message) *call {
	open := s.open()
	if m.key == "" && len(s.calls) == 1 && len(open) == 1 {
		return open[0]
	}
	for _, c := range open {
		if c.message.key == m.key {
			return c
		}
	}
	if s.x.r.Method != http.MethodGet || s.x.session == nil || m.key == "" {
		return nil
	}
	if a, ok := s.x.session.recall(m.key); ok { // a replay
		return &call{message: &message{method: a.method, id: m.id, key: m.key}, needs: a.needs}
	}
	return nil
}

// edits are the changes to an answer.
func (s *sink) edits(m *message, c *call) ([]mcpjson.Edit, error) {
	v := m.fields.Get("result")
	if v.Kind() != '{' {
		return nil, nil
	}
	result, err := v.Object(resultMembers...)
	replay := len(s.calls) == 0
	if err != nil {
		if replay {
			return nil, faultOf("the result of an answer: " + err.Error())
		}
		return nil, nil // it is not a list
	}
	if c.message.method == mcppolicy.Initialize {
		s.promised(result)
	}
	edits := private(result, s.cached(c))
	if replay {
		more, err := s.filtered(result)
		if err != nil {
			return nil, err
		}
		edits = append(edits, more...)
	}
	if len(edits) == 0 {
		return nil, nil
	}
	return []mcpjson.Edit{{Name: "result", Raw: result.With(edits...)}}, nil
}

// cached reports whether the answer to a call has a scope of its cache.
func (s *sink) cached(c *call) bool {
	return s.x.modern && (c.message.method == "resources/read" || c.message.method == "server/discover")
}

// filtered narrows a result that looks like a list, whatever it answers.
func (s *sink) filtered(result mcpjson.Object) ([]mcpjson.Edit, error) {
	var edits []mcpjson.Edit
	for _, l := range mcppolicy.Lists {
		entries := result.Get(l.Member)
		if entries.Kind() != '[' {
			continue
		}
		now, err := s.x.h.guard.RecheckFor(s.x.admitted)
		may := func(name string) bool { return err == nil && now.Allows(l.Scope(name)) }
		g := gathering{list: l, may: may, names: map[string]bool{}}
		if err := g.entries(entries.Elements()); err != nil {
			return nil, err
		}
		edits = append(edits, mcpjson.Edit{Name: l.Member, Raw: array(g.shown)}, mcpjson.Edit{Name: "nextCursor"})
	}
	return edits, nil
}
