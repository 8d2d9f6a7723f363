package stdio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A message is one JSON-RPC message as it was read, and the places in it that matter here.
type message struct {
	text   []byte // without line ends
	strict bool
	method string
	answer bool // it has a result or an error
	failed bool // it has an error
	code   int64

	id           span
	requestID    span // params.requestId, of a cancellation
	token        span // params._meta.progressToken, of a request
	progress     span // params.progressToken, of a progress notification
	subscription span // _meta with the id of a subscriptions/listen

	version string // params._meta, the protocol version
	capable bool   // params._meta has the capabilities of the client, which each request of that version needs
	name    string // params.name
	uri     string // params.uri
}

// A span is a place in a text. The zero span stands for a missing value.
type span struct{ from, to int }

func (s span) none() bool { return s.to == 0 }

func (m *message) bytes(s span) []byte { return m.text[s.from:s.to] }

func (m *message) request() bool { return m.method != "" && !m.id.none() }

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

var errShape = errors.New("this is not a JSON-RPC 2.0 message")

// parseAll reads one message, or a batch of them.
func parseAll(text []byte, strict bool) (list []*message, batch bool, err error) {
	text = bytes.TrimSpace(oneLine(text))
	if len(text) == 0 || text[0] != '[' {
		m, err := parse(text, strict)
		return []*message{m}, false, err
	}
	elements, err := elements(text)
	if err != nil {
		return nil, true, err
	}
	if len(elements) == 0 || len(elements) > maxBatch {
		return nil, true, fmt.Errorf("a batch has 1 to %d messages", maxBatch)
	}
	for _, e := range elements {
		m, err := parse(e, strict)
		if err != nil {
			return nil, true, err
		}
		list = append(list, m)
	}
	return list, true, nil
}

// oneLine replaces line ends, which in JSON stand only between tokens, by spaces.
func oneLine(text []byte) []byte {
	if bytes.ContainsAny(text, "\r\n") {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte(" "))
		text = bytes.ReplaceAll(text, []byte("\r"), []byte(" "))
	}
	return text
}

// parse reads one message. A name that occurs twice in the message, its params or _meta is
// refused, and if strict is set a name in other case too. Arguments pass as they are.
func parse(text []byte, strict bool) (*message, error) {
	m := &message{text: text, strict: strict}
	version := false
	err := m.members(span{0, len(text)}, func(name string, at span) error {
		value := m.bytes(at)
		switch name {
		case "jsonrpc":
			version = string(value) == `"2.0"`
		case "id":
			m.id = at
		case "method":
			m.method = unquoted(value)
			if m.method == "" {
				return errShape
			}
		case "params":
			return m.readParams(at)
		case "result":
			m.answer = true
			return m.readMeta(at)
		case "error":
			m.answer, m.failed = true, true
			return m.readCode(at)
		default:
			return m.foldsTo(name, "jsonrpc", "id", "method", "params", "result", "error")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !version || m.answer == (m.method != "") || m.answer && m.id.none() {
		return nil, errShape
	}
	unknown := m.failed && string(m.bytes(m.id)) == "null" // an error of a request that could not be read
	if !m.id.none() && !unknown {
		if _, ok := idKey(m.bytes(m.id)); !ok {
			return nil, errors.New("an id is a string or a whole number")
		}
	}
	return m, nil
}

func (m *message) readParams(at span) error {
	if m.text[at.from] != '{' {
		return nil // the server judges it
	}
	return m.members(at, func(name string, at span) error {
		switch name {
		case "_meta":
			return m.readMetaMembers(at)
		case "requestId":
			m.requestID = at
		case "progressToken":
			m.progress = at
		case "name":
			m.name = unquoted(m.bytes(at))
		case "uri":
			m.uri = unquoted(m.bytes(at))
		default:
			return m.foldsTo(name, "_meta", "requestId", "progressToken", "name", "uri")
		}
		return nil
	})
}

// readMeta looks for the _meta of a result.
func (m *message) readMeta(at span) error {
	if m.text[at.from] != '{' {
		return nil
	}
	return m.members(at, func(name string, at span) error {
		if name == "_meta" {
			return m.readMetaMembers(at)
		}
		return nil
	})
}

func (m *message) readMetaMembers(at span) error {
	if m.text[at.from] != '{' {
		return nil
	}
	return m.members(at, func(name string, at span) error {
		switch name {
		case "progressToken":
			m.token = at
		case metaVersion:
			m.version = unquoted(m.bytes(at))
		case metaCapabilities:
			m.capable = m.text[at.from] == '{'
		case metaSubscription:
			m.subscription = at
		}
		return nil
	})
}

func (m *message) readCode(at span) error {
	if m.text[at.from] != '{' {
		return nil
	}
	return m.members(at, func(name string, at span) error {
		if name == "code" {
			m.code, _ = strconv.ParseInt(string(m.bytes(at)), 10, 64)
		}
		return nil
	})
}

// members calls f with each member of the object at o.
func (m *message) members(o span, f func(name string, at span) error) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(m.bytes(o)), jsontext.AllowDuplicateNames(true))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return errShape
	}
	seen := map[string]bool{}
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		if seen[name] {
			return fmt.Errorf("the name %s occurs twice", strconv.QuoteToASCII(name))
		}
		seen[name] = true
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		to := o.from + int(dec.InputOffset())
		if err := f(name, span{to - len(value), to}); err != nil {
			return err
		}
	}
	return finish(dec)
}

func elements(text []byte) ([][]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var out [][]byte
	for k := dec.PeekKind(); k != ']' && k != 0; k = dec.PeekKind() {
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if len(out) <= maxBatch {
			out = append(out, bytes.Clone(value))
		}
	}
	return out, finish(dec)
}

// finish reads the end of an object or array, and of the text.
func finish(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errShape
	}
	return nil
}

func (m *message) foldsTo(name string, known ...string) error {
	if !m.strict {
		return nil
	}
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) }); i >= 0 {
		return fmt.Errorf("the name %s must be written %s", strconv.QuoteToASCII(name), known[i])
	}
	return nil
}
