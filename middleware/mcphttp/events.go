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
	mark int    // how long the mark before the stream is
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
	e := event{text: s.buf, mark: s.mark()}
	s.buf, s.begun = nil, true
	for line := range bytes.Lines(e.text[e.mark:]) {
		name, value, ok := fieldOf(line)
		if !ok {
			return e, errEvent
		}
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

// mark is how long the mark is that the buffer begins with, if it is the beginning of the stream.
func (s *events) mark() int {
	if s.begun || !bytes.HasPrefix(s.buf, byteOrderMark) {
		return 0
	}
	return len(byteOrderMark)
}

// fieldOf returns the field of a line and what follows its colon. It fails for a carriage return
// that is not part of the line's end.
func fieldOf(line []byte) (name, value []byte, ok bool) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	name, value, _ = bytes.Cut(line, []byte{':'})
	return name, value, bytes.IndexByte(line, '\r') < 0
}

// with returns the event with another message in it.
func (e event) with(data []byte) []byte {
	out, done := make([]byte, 0, len(e.text)+len(data)), false
	out = append(out, e.text[:e.mark]...)
	for line := range bytes.Lines(e.text[e.mark:]) {
		if !isData(line) {
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
func (s *events) partial() (line []byte, ok bool, err error) {
	from, to := s.mark(), bytes.LastIndexByte(s.buf, '\n')+1
	for before := range bytes.Lines(s.buf[min(from, to):to]) {
		name, _, ok := fieldOf(before)
		if !ok {
			return nil, false, errEvent
		}
		if string(name) == "data" {
			return nil, false, nil
		}
	}
	line = s.buf[max(from, to):]
	if _, _, ok := fieldOf(line); !ok {
		return nil, false, errEvent
	}
	return line, isData(line), nil
}

// isData reports whether a line has data.
func isData(line []byte) bool {
	name, _, _ := fieldOf(line)
	return string(name) == "data"
}
