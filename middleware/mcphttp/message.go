package mcphttp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// envelope has the members of a message; params, meta and the others have members that are judged. No
// other way of writing them is accepted.
var (
	envelope = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	params   = []string{
		"_meta", "name", "uri", "ref", "arguments", "cursor", "notifications", "requestId", "protocolVersion", "capabilities", "clientInfo",
	}
	meta      = []string{"progressToken", metaVersion, metaSubscription}
	reference = []string{"type", "name", "uri"}
	listening = []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged", wantedResources}
)

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
	wantedResources  = "resourceSubscriptions"
)

// maxID is how long the id of a message may be, in bytes.
const maxID = 1 << 10

// message is one message of JSON-RPC.
type message struct {
	value  mcpjson.Value
	fields mcpjson.Object
	id     mcpjson.Value
	key    string // the id in one form; empty without an id
	method string // empty for a response
	params mcpjson.Object
	meta   mcpjson.Object
	flaw   error // of params

	subject string // the name or URI that it is about
	ref     *ref
}

// ref is what a completion is about.
type ref struct{ kind, name, uri string }

func (m *message) isRequest() bool      { return m.method != "" && m.key != "" }
func (m *message) isNotification() bool { return m.method != "" && m.key == "" }

var (
	errEnvelope = errors.New("not a message of JSON-RPC 2.0")
	errID       = errors.New("an id must be a string or an integer")
	errNUL      = errors.New("a text has a NUL")
)

// readMessage reads the envelope of a message. Its params are read by readParams.
func readMessage(v mcpjson.Value) (*message, error) {
	fields, err := v.Object(envelope...)
	if err != nil {
		return nil, err
	}
	m := &message{value: v, fields: fields, id: fields.Get("id")}
	if version := fields.Get("jsonrpc"); string(version.Raw()) != `"2.0"` {
		if text, err := version.Text(); err != nil || text != "2.0" { // with an escape
			return nil, errEnvelope
		}
	}
	if method := fields.Get("method"); method.Exists() {
		if m.method, err = text(method); err != nil || m.method == "" {
			return nil, errEnvelope
		}
	}
	answers := 0
	for _, name := range []string{"result", "error"} {
		if fields.Get(name).Exists() {
			answers++
		}
	}
	if m.method == "" && answers != 1 || m.method != "" && answers != 0 {
		return nil, errEnvelope
	}
	if m.id.Exists() && (m.method != "" || m.id.Kind() != 'n') {
		if m.key, err = idKey(m.id); err != nil {
			return nil, err
		}
	}
	if m.method == "" && !m.id.Exists() {
		return nil, errEnvelope
	}
	return m, nil
}

// idKey brings an id into one form, because a server may write it in another one.
func idKey(id mcpjson.Value) (string, error) {
	if len(id.Raw()) > maxID {
		return "", errID
	}
	if id.Kind() == '"' {
		s, err := id.Text()
		return "s" + s, err
	}
	n, err := strconv.ParseInt(string(id.Raw()), 10, 64)
	if err != nil {
		return "", errID
	}
	return "n" + strconv.FormatInt(n, 10), nil
}

// text decodes a string that is judged. A reader may take a NUL for its end.
func text(v mcpjson.Value) (string, error) {
	s, err := v.Text()
	if err == nil && strings.IndexByte(s, 0) >= 0 {
		return "", errNUL
	}
	return s, err
}

// readParams reads what a request or notification is about.
func (m *message) readParams() (err error) {
	v := m.fields.Get("params")
	if !v.Exists() || v.Kind() == 'n' {
		return nil
	}
	if m.params, err = v.Object(params...); err != nil {
		return err
	}
	if v := m.params.Get("_meta"); v.Exists() && v.Kind() != 'n' {
		if m.meta, err = v.Object(meta...); err != nil {
			return err
		}
	}
	switch subject := mcppolicy.SubjectOf(m.method); subject {
	case mcppolicy.None:
	case mcppolicy.Ref:
		m.ref, err = readRef(m.params.Get(string(subject)))
	default:
		m.subject, err = optional(m.params, string(subject))
	}
	return err
}

func readRef(v mcpjson.Value) (*ref, error) {
	if !v.Exists() || v.Kind() == 'n' {
		return nil, nil //nolint:nilnil // there is none, which is answered in the words of the policy
	}
	o, err := v.Object(reference...)
	if err != nil {
		return nil, err
	}
	r := &ref{}
	for _, part := range []struct {
		name string
		to   *string
	}{{"type", &r.kind}, {"name", &r.name}, {"uri", &r.uri}} {
		if *part.to, err = optional(o, part.name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// optional is the text of a member that may be missing.
func optional(o mcpjson.Object, name string) (string, error) {
	v := o.Get(name)
	if !v.Exists() {
		return "", nil
	}
	return text(v)
}

// failure is the answer to the message with an id; without one the id is null.
func failure(id mcpjson.Value, e *mcppolicy.Error) []byte {
	raw := []byte("null")
	if id.Exists() {
		raw = id.Raw()
	}
	out := append([]byte(`{"jsonrpc":"2.0","id":`), raw...)
	return append(append(append(out, `,"error":`...), marshal(e)...), '}')
}

// array writes messages as a batch.
func array(messages [][]byte) []byte {
	out := []byte{'['}
	for i, m := range messages {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m...)
	}
	return append(out, ']')
}
