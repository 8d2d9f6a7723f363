// Package mcpjson reads JSON as strictly as a guard must that judges what others execute: if a
// text passes, every reader sees the same members in it.
//
// Call [Parse], then [Value.Object] for each object whose members are judged: it refuses a
// member that is there twice or in another case. Objects that are not judged, such as the
// arguments of a tool, are only checked for their syntax. [Object.With] changes single members
// and keeps all other bytes.
//
// The package knows nothing of MCP.
package mcpjson

import (
	"errors"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 512

// The errors of this package never contain a part of the text.
var (
	ErrSyntax    = errors.New("not valid JSON")
	ErrUTF8      = errors.New("not valid UTF-8")
	ErrDepth     = errors.New("nested too deeply")
	ErrTrailing  = errors.New("text after the JSON value")
	ErrDuplicate = errors.New("a member is given twice")
	ErrMembers   = errors.New("an object has too many members")
	ErrCase      = errors.New("a member is written in another case")
	ErrText      = errors.New("a text has half of a surrogate pair")
	ErrType      = errors.New("a value has the wrong type")
)

// Parse checks a text that is one JSON value with white space around it.
func Parse(text []byte) (Value, error) {
	if !utf8.Valid(text) {
		return Value{}, ErrUTF8
	}
	from := space(text, 0)
	end, err := scan(text, from, 0)
	if err != nil {
		return Value{}, err
	}
	if space(text, end) != len(text) {
		return Value{}, ErrTrailing
	}
	return Value{text[from:end:end]}, nil
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// scan returns the end of the value that begins at i.
func scan(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return 0, ErrSyntax
	}
	switch c := b[i]; {
	case c == '{':
		return scanObject(b, i, depth+1)
	case c == '[':
		return scanArray(b, i, depth+1)
	case c == '"':
		return scanString(b, i)
	case c == '-' || c >= '0' && c <= '9':
		return scanNumber(b, i)
	}
	for _, word := range []string{"true", "false", "null"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word), nil
		}
	}
	return 0, ErrSyntax
}

func scanObject(b []byte, i, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, ErrDepth
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		m, err := scanMember(b, i, depth)
		if err != nil {
			return 0, err
		}
		i = space(b, m.end)
		if i >= len(b) {
			return 0, ErrSyntax
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case '}':
			return i + 1, nil
		default:
			return 0, ErrSyntax
		}
	}
}

// span is where a member is: its name begins at start and ends at name, its value is from value
// to end.
type span struct{ start, name, value, end int }

func scanMember(b []byte, i, depth int) (s span, err error) {
	s.start = i
	if i >= len(b) || b[i] != '"' {
		return s, ErrSyntax
	}
	if s.name, err = scanString(b, i); err != nil {
		return s, err
	}
	i = space(b, s.name)
	if i >= len(b) || b[i] != ':' {
		return s, ErrSyntax
	}
	s.value = space(b, i+1)
	s.end, err = scan(b, s.value, depth)
	return s, err
}

func scanArray(b []byte, i, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, ErrDepth
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		end, err := scan(b, i, depth)
		if err != nil {
			return 0, err
		}
		i = space(b, end)
		if i >= len(b) {
			return 0, ErrSyntax
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case ']':
			return i + 1, nil
		default:
			return 0, ErrSyntax
		}
	}
}

func scanString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < ' ':
			return 0, ErrSyntax
		case c == '\\':
			n := escape(b, i)
			if n == 0 {
				return 0, ErrSyntax
			}
			i += n - 1
		}
	}
	return 0, ErrSyntax
}

// escape is the length of the escape sequence at i, or zero if it is not one.
func escape(b []byte, i int) int {
	if i+1 >= len(b) {
		return 0
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b, i+2); ok {
			return 6
		}
	}
	return 0
}

func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func scanNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	whole := digits(b, i)
	if whole == 0 || whole > 1 && b[i] == '0' {
		return 0, ErrSyntax
	}
	i += whole
	if i < len(b) && b[i] == '.' {
		n := digits(b, i+1)
		if n == 0 {
			return 0, ErrSyntax
		}
		i += 1 + n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := digits(b, i)
		if n == 0 {
			return 0, ErrSyntax
		}
		i += n
	}
	return i, nil
}

func digits(b []byte, i int) (n int) {
	for i+n < len(b) && b[i+n] >= '0' && b[i+n] <= '9' {
		n++
	}
	return n
}
