package mcphttp

import (
	"bytes"
)

// events cuts a stream of server-sent events into events. Readers differ about a carriage
// return alone, so it is refused.
type events struct {
	max   int // how long an event may be that has not ended
	buf   []byte
	begun bool // the first line was read
	ids   bool // an event had an id, so that a client can resume
}

// event is one event. Its text is as it came, with the empty line.
type event struct {
	text []byte
	data []byte // nil without data
	name string
}

var (
	errEvent      = faultOf("its events are malformed")
	errEventLarge = faultOf("one of its events is too large")
)

// feed calls emit with each event that ends in p.
func (s *events) feed(p []byte, emit func(event) error) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.buf = append(s.buf, p...)
			break
		}
		s.buf = append(s.buf, p[:i+1]...)
		p = p[i+1:]
		if !blank(s.buf) {
			continue
		}
		e, err := s.cut()
		if err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	if len(s.buf) > s.max {
		return errEventLarge
	}
	return nil
}

// blank reports whether the text ends with an empty line.
func blank(b []byte) bool {
	b = b[:len(b)-1]
	b = bytes.TrimSuffix(b, []byte{'\r'})
	return len(b) == 0 || b[len(b)-1] == '\n'
}

// byteOrderMark may come before a stream, and readers remove it.
var byteOrderMark = []byte("\ufeff")

// cut returns the event in the buffer.
func (s *events) cut() (event, error) {
	e := event{text: s.buf}
	s.buf = nil
	lines := e.text
	if !s.begun {
		lines = bytes.TrimPrefix(lines, byteOrderMark)
		s.begun = true
	}
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
		if bytes.IndexByte(line, '\r') >= 0 {
			return e, errEvent
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "data":
			if e.data != nil {
				e.data = append(append(e.data[:len(e.data):len(e.data)], '\n'), value...)
			} else {
				e.data = append([]byte{}, value...)
			}
		case "event":
			e.name = string(value)
		case "id":
			s.ids = true
		}
	}
	return e, nil
}

// with returns the event with another message in it.
func (e event) with(data []byte) []byte {
	out, done := make([]byte, 0, len(e.text)+len(data)), false
	for line := range bytes.Lines(e.text) {
		name, _, _ := bytes.Cut(bytes.TrimSuffix(bytes.TrimSuffix(bytes.TrimPrefix(line, byteOrderMark), []byte{'\n'}), []byte{'\r'}), []byte{':'})
		if string(name) != "data" {
			out = append(out, line...)
			continue
		}
		if !done {
			out, done = appendData(out, data), true
		}
	}
	return out
}

// eventOf is an event with a message.
func eventOf(data []byte) []byte {
	return append(appendData([]byte("event: message\n"), data), '\n')
}

// appendData adds a message, in as many lines as it has. In JSON, line ends stand only between
// tokens, so a carriage return may become another one.
func appendData(out, data []byte) []byte {
	for line := range bytes.FieldsFuncSeq(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
		out = append(append(append(out, "data: "...), line...), '\n')
	}
	return out
}

// partial is the line that has not ended, if it alone has the data of its event.
func (s *events) partial() (line []byte, ok bool) {
	i := bytes.LastIndexByte(s.buf, '\n') + 1
	for before := range bytes.Lines(s.buf[:i]) {
		if isData(before) {
			return nil, false
		}
	}
	return s.buf[i:], isData(s.buf[i:])
}

// isData reports whether a line has data.
func isData(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(line, byteOrderMark), []byte("data"))
}
