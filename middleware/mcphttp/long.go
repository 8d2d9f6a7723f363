package mcphttp

import (
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
)

// long reads an answer that is too long to be held, while it passes. It sees the members of the
// message and of its result; all else it only counts. It changes cacheScope, and the answer
// must turn out to be one to the request: its id may come last.
type long struct {
	s     *sink
	call  *call
	depth int
	kinds [3]byte // of the containers around, to depth 2
	names [3]string
	text  bool // within a string
	esc   bool
	name  bool // a name comes next
	word  []byte
	id    []byte
	seen  map[string]bool
	skips bool // the value is replaced
	empty bool // the result has no member yet
	ended bool
	other bool // it is not an answer
	out   []byte
}

// maxWord is how long a name may be that is looked at.
const maxWord = 1 << 10

var errLong = faultOf("its long answer is malformed, or not one to the request")

func newLong(s *sink) *long {
	l := &long{s: s, seen: map[string]bool{}}
	if open := s.open(); len(s.calls) == 1 && len(open) == 1 {
		l.call = open[0]
	}
	return l
}

// eligible reports whether the text may pass while it arrives: an answer to the only call.
func (l *long) eligible() bool { return l.call != nil && !l.other && l.depth > 0 && l.kinds[1] == '{' }

// feed returns what passes of a piece.
func (l *long) feed(p []byte) ([]byte, error) {
	l.out = make([]byte, 0, len(p)+64)
	for _, c := range p {
		if l.ended && c > ' ' {
			return nil, errLong
		}
		if l.text {
			l.inText(c)
			continue
		}
		if !l.structure(c) {
			return nil, errLong
		}
	}
	return l.out, nil
}

func (l *long) put(c byte) {
	if !l.skips {
		l.out = append(l.out, c)
	}
	if l.depth == 1 && l.names[1] == "id" && !l.name && len(l.id) <= maxID {
		l.id = append(l.id, c)
	}
}

func (l *long) inText(c byte) {
	l.put(c)
	if l.depth <= 2 && len(l.word) <= maxWord {
		l.word = append(l.word, c)
	}
	switch {
	case l.esc:
		l.esc = false
	case c == '\\':
		l.esc = true
	case c == '"':
		l.text = false
	}
}

// structure reads a byte outside of strings.
func (l *long) structure(c byte) bool {
	switch c {
	case '"':
		l.text, l.word = true, append(l.word[:0], c)
		if l.inResult() {
			l.empty = false
		}
	case ':':
		if l.name && l.depth <= 2 {
			l.name = false
			l.put(c)
			return l.member()
		}
	case '{', '[':
		return l.open(c)
	case '}', ']':
		return l.close(c)
	case ',':
		if l.depth <= 2 {
			l.skips = l.skips && l.depth > 2
			l.name = l.depth > 0 && l.kinds[l.depth] == '{'
			if l.depth == 1 {
				l.names[1] = ""
			}
		}
	}
	l.put(c)
	return true
}

func (l *long) inResult() bool { return l.depth == 2 && l.names[1] == "result" && l.kinds[2] == '{' }

func (l *long) open(c byte) bool {
	l.put(c)
	if l.depth++; l.depth <= 2 {
		l.kinds[l.depth], l.names[l.depth], l.name = c, "", c == '{'
		l.empty = true
	}
	return l.depth > 1 || c == '{' && !l.seen["{"] && l.note("{")
}

func (l *long) close(c byte) bool {
	if l.depth == 0 {
		return false
	}
	if l.depth <= 2 {
		if c != l.kinds[l.depth]+2 {
			return false
		}
		l.skips, l.name = false, false
		if l.inResult() && l.call != nil && l.s.cached(l.call) && !l.seen["result/cacheScope"] {
			if !l.empty {
				l.out = append(l.out, ',')
			}
			l.out = append(l.out, `"cacheScope":"private"`...)
		}
	}
	if l.depth == 1 {
		l.names[1] = ""
	}
	l.depth--
	l.ended = l.depth == 0
	l.put(c)
	return true
}

func (l *long) note(what string) bool {
	l.seen[what] = true
	return true
}

// member reads the name of a member whose value comes next.
func (l *long) member() bool {
	v, err := mcpjson.Parse(l.word)
	if err != nil {
		return len(l.word) > maxWord // a name that is not known
	}
	name, err := v.Text()
	if err != nil {
		return false
	}
	l.names[l.depth] = name
	known, prefix := envelope, ""
	switch {
	case l.inResult():
		known, prefix = resultMembers, "result/"
	case l.depth != 1:
		return true
	}
	for _, k := range known {
		if mcpjson.Fold(k) != mcpjson.Fold(name) {
			continue
		}
		if k != name || l.seen[prefix+k] {
			return false
		}
		l.note(prefix + k)
	}
	switch {
	case prefix == "" && (name == "method" || name == "params"):
		l.other = true
		return l.s.long == nil // it is too late to judge it
	case prefix != "" && name == "cacheScope":
		l.out, l.skips = append(l.out, `"private"`...), true
	}
	return true
}

// finish reports whether what has passed was an answer to the call.
func (l *long) finish() error {
	v, err := mcpjson.Parse(l.id)
	if err != nil || !l.ended || l.call == nil || l.call.done {
		return errLong
	}
	if key, err := idKey(v); err != nil || key != l.call.message.key {
		return errLong
	}
	l.s.answering = append(l.s.answering, l.call)
	return nil
}
