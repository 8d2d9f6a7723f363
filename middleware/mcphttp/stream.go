package mcphttp

import (
	"bytes"
	"errors"
)

// maxBuffered is how much of one message is held at most, if it cannot be passed on while it
// arrives.
const maxBuffered = 16 << 20

// feedEvents passes on events, each when it has arrived.
func (s *sink) feedEvents(p []byte) error {
	for len(p) > 0 {
		switch {
		case s.long != nil:
			rest, err := s.feedLong(p)
			if err != nil {
				return err
			}
			p = rest
		case s.tail:
			rest, err := s.feedTail(p)
			if err != nil {
				return err
			}
			p = rest
		default:
			err := s.events.feed(p, s.passEvent)
			if errors.Is(err, errEventLarge) {
				err = s.longEvent()
			}
			return err
		}
	}
	return nil
}

// passEvent sends one event, with what may be sent of its message.
func (s *sink) passEvent(e event) error {
	if s.whole = false; s.ended {
		return errUpstream
	}
	data := bytes.TrimSpace(e.data)
	if len(data) == 0 {
		return s.send(e.text) // a comment, an id, a time to wait
	}
	if e.name != "" && e.name != "message" && data[0] != '{' && data[0] != '[' {
		return s.send(e.text) // not a message
	}
	out, err := s.pass(e.data)
	switch {
	case err != nil:
		return err
	case s.ended || out == nil:
		return nil
	case bytes.Equal(out, e.data):
		return s.send(e.text)
	}
	return s.send(e.with(out))
}

// longEvent begins to pass on an event that has not arrived.
func (s *sink) longEvent() error {
	line, ok, err := s.events.partial()
	if err != nil {
		return err
	}
	if ok && len(line) > maxHeld && !s.whole {
		before := s.events.buf[:len(s.events.buf)-len(line)]
		field, value, _ := bytes.Cut(line, []byte{':'})
		value, half := bytes.CutSuffix(value, []byte{'\r'})
		l := newLong(s)
		out, err := l.feed(value)
		if err == nil && l.eligible() {
			s.long, s.half, s.events.buf, s.events.begun = l, half, nil, true
			head := append(append(bytes.Clone(before), field...), ':')
			return s.send(append(head, out...))
		}
		s.whole = true
	}
	if len(s.events.buf) > maxBuffered {
		return errEventLarge
	}
	return nil
}

// feedLong passes on a piece of the line with a long message. A carriage return waits for its line
// feed, which may be in the next piece.
func (s *sink) feedLong(p []byte) (rest []byte, err error) {
	line, _, ended := bytes.Cut(p, []byte{'\n'})
	if s.half && (!ended || len(line) > 0) {
		return nil, errEvent
	}
	end := []byte{'\n'}
	text, half := bytes.CutSuffix(line, []byte{'\r'})
	if s.half = s.half || half; s.half {
		end = []byte("\r\n")
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return nil, errEvent
	}
	out, err := s.long.feed(text)
	if err != nil {
		return nil, err
	}
	if !ended {
		return nil, s.send(out)
	}
	s.half = false
	if err := s.long.finish(); err != nil {
		return nil, err
	}
	if err := s.send(append(out, end...)); err != nil {
		return nil, err
	}
	s.long, s.tail = nil, true
	return p[len(line)+1:], nil
}

// feedTail passes on the lines after a long message, up to the end of its event.
func (s *sink) feedTail(p []byte) (rest []byte, err error) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		if s.events.buf = append(s.events.buf, p...); len(s.events.buf) > maxHeld {
			return nil, errEventLarge
		}
		return nil, nil
	}
	line := append(s.events.buf, p[:i+1]...)
	s.events.buf = nil
	name, _, ok := fieldOf(line)
	if !ok || string(name) == "data" {
		return nil, errEvent
	}
	if string(name) == "id" {
		s.events.ids = true
	}
	if err := s.send(line); err != nil {
		return nil, err
	}
	if len(bytes.TrimRight(line, "\r\n")) == 0 {
		s.tail = false
		for _, event := range s.waiting {
			_ = s.send(event)
		}
		s.waiting = nil
	}
	return p[i+1:], nil
}

// feedJSON holds an answer that is one text, or passes it on if it is long.
func (s *sink) feedJSON(p []byte) error {
	if s.long != nil {
		out, err := s.long.feed(p)
		if err != nil {
			return err
		}
		return s.send(out)
	}
	if s.body = append(s.body, p...); len(s.body) <= maxHeld {
		return nil
	}
	if !s.x.batch && s.status < 300 && !s.whole {
		l := newLong(s)
		out, err := l.feed(s.body)
		if err == nil && l.eligible() {
			if !s.permits() {
				return errUpstream
			}
			s.long, s.body = l, nil
			s.begin(s.status, typeJSON, -1)
			return s.send(out)
		}
		s.whole = true
	}
	if len(s.body) > maxBuffered {
		return faultOf("its answer is too large")
	}
	return nil
}

// finishJSON passes on an answer that was held.
func (s *sink) finishJSON() error {
	if s.long != nil {
		if err := s.long.finish(); err != nil {
			return err
		}
		s.long = nil
		return nil
	}
	out, err := s.pass(s.body)
	if err != nil {
		return err
	}
	if s.x.batch {
		out = s.merge(out)
	}
	if out == nil {
		return faultOf("its answer is not one to the request")
	}
	if s.permits() {
		s.own = nil
		s.settle()
		s.begin(s.status, typeJSON, len(out))
		return s.write(out)
	}
	return nil
}

// merge adds the answers of this side to those of next.
func (s *sink) merge(out []byte) []byte {
	answers := s.own
	if out = bytes.TrimSpace(out); len(out) > 0 && out[0] == '[' {
		out = bytes.TrimSpace(out[1 : len(out)-1])
	}
	if len(out) > 0 {
		answers = append(answers, out)
	}
	for _, c := range s.open() {
		s.answering = append(s.answering, c)
		answers = append(answers, failure(c.message.id, errNoAnswer))
	}
	return array(answers)
}
