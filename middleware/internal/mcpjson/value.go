package mcpjson

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one checked JSON value. The zero Value is one that is not there.
type Value struct{ raw []byte }

// Raw is the text of v, without the space around it. Do not change it.
func (v Value) Raw() []byte { return v.raw }

// Exists reports whether there is a value; null is one.
func (v Value) Exists() bool { return len(v.raw) > 0 }

// Kind is the first byte of v: '{', '[', '"', 't', 'f', 'n', or '0' for every number. It is
// zero for a value that is not there.
func (v Value) Kind() byte {
	if len(v.raw) == 0 {
		return 0
	}
	if c := v.raw[0]; c != '-' && (c < '0' || c > '9') {
		return c
	}
	return '0'
}

// Text decodes a string. The error is [ErrType] for another value, and [ErrText] if a reader
// could not decode it.
func (v Value) Text() (string, error) {
	if v.Kind() != '"' {
		return "", ErrType
	}
	return decode(v.raw)
}

// Elements are those of an array; nil for another value.
func (v Value) Elements() []Value {
	if v.Kind() != '[' {
		return nil
	}
	elements := []Value{}
	for i := space(v.raw, 1); v.raw[i] != ']'; {
		end, _ := scan(v.raw, i, 0) // Parse has checked it
		elements = append(elements, Value{v.raw[i:end:end]})
		if i = space(v.raw, end); v.raw[i] == ',' {
			i = space(v.raw, i+1)
		}
	}
	return elements
}

// Object is a JSON object whose members every reader finds alike.
type Object struct {
	raw     []byte
	members []member
}

type member struct {
	name string
	span
}

// Object returns the members of v. It refuses names that are there twice, also in another case,
// and any of known in another case, because some readers do not distinguish case. It folds
// letters as [encoding/json] does.
func (v Value) Object(known ...string) (Object, error) {
	if v.Kind() != '{' {
		return Object{}, ErrType
	}
	o := Object{raw: v.raw}
	var there map[string]bool // of many members
	for i := space(v.raw, 1); v.raw[i] != '}'; {
		s, _ := scanMember(v.raw, i, 0) // Parse has checked it
		name, err := nameOf(v.raw[s.start:s.name], known)
		if err != nil {
			return Object{}, err
		}
		if there, err = o.fresh(name, there); err != nil {
			return Object{}, err
		}
		if len(o.members) == maxMembers {
			return Object{}, ErrMembers
		}
		if o.members == nil {
			o.members = make([]member, 0, usualMembers)
		}
		o.members = append(o.members, member{name, s})
		if i = space(v.raw, s.end); v.raw[i] == ',' {
			i = space(v.raw, i+1)
		}
	}
	return o, nil
}

// nameOf decodes the name of a member. It refuses any of known in another case.
func nameOf(raw []byte, known []string) (string, error) {
	for _, exact := range known {
		if string(raw[1:len(raw)-1]) == exact { // as nearly all are written
			return exact, nil
		}
	}
	name, err := decode(raw)
	if err != nil {
		return "", err
	}
	for _, exact := range known {
		if exact != name && strings.EqualFold(exact, name) {
			return "", ErrCase
		}
	}
	return name, nil
}

// usualMembers is for how many members there is room at first.
const usualMembers = 6

// maxMembers is how many members an object may have that is judged: each takes some 250 bytes of
// memory here, and 11 in a message.
const maxMembers = 10_000

// fewMembers is how many members are compared one by one.
const fewMembers = 16

// fresh refuses a name that is there already. It returns the names that are there, if there are
// many, so that an object with very many members costs little for each.
func (o *Object) fresh(name string, there map[string]bool) (map[string]bool, error) {
	if len(o.members) < fewMembers {
		for _, m := range o.members {
			if strings.EqualFold(m.name, name) {
				return nil, ErrDuplicate
			}
		}
		return nil, nil
	}
	if there == nil {
		there = map[string]bool{}
		for _, m := range o.members {
			there[Fold(m.name)] = true
		}
	}
	folded := Fold(name)
	if there[folded] {
		return nil, ErrDuplicate
	}
	there[folded] = true
	return there, nil
}

// Get returns the member, or a value that is not there.
func (o Object) Get(name string) Value {
	for _, m := range o.members {
		if m.name == name {
			return Value{o.raw[m.value:m.end:m.end]}
		}
	}
	return Value{}
}

// Names are those of the members, in their order.
func (o Object) Names() []string {
	names := make([]string, len(o.members))
	for i, m := range o.members {
		names[i] = m.name
	}
	return names
}

// An Edit gives the named member another value, or removes it if Raw is nil.
type Edit struct {
	Name string
	Raw  []byte
}

// With is the text of o after the edits. A member that was not there comes last. All other
// bytes stay as they are. The zero Object is an empty one.
func (o Object) With(edits ...Edit) []byte {
	if o.raw == nil {
		o.raw = []byte("{}")
	}
	out := append(make([]byte, 0, len(o.raw)+64), '{')
	last, first := 1, true
	for _, m := range o.members {
		before := o.raw[last:m.start] // with the comma
		last = m.end
		edit, changed := find(edits, m.name)
		if changed && edit.Raw == nil {
			continue
		}
		if first && m.start != o.members[0].start {
			before = before[bytes.IndexByte(before, ',')+1:]
		}
		out, first = append(out, before...), false
		if changed {
			out = append(append(out, o.raw[m.start:m.value]...), edit.Raw...)
		} else {
			out = append(out, o.raw[m.start:m.end]...)
		}
	}
	for _, e := range edits {
		if e.Raw == nil || o.Get(e.Name).Exists() {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		out, first = append(append(append(out, Quote(e.Name)...), ':'), e.Raw...), false
	}
	return append(out, o.raw[last:]...)
}

func find(edits []Edit, name string) (Edit, bool) {
	for _, e := range edits {
		if e.Name == name {
			return e, true
		}
	}
	return Edit{}, false
}

// decode decodes a checked string with its quotes.
func decode(raw []byte) (string, error) {
	raw = raw[1 : len(raw)-1]
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return string(raw), nil
	}
	out := append(make([]byte, 0, len(raw)), raw[:i]...)
	for i < len(raw) {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			out = append(out, unescaped(raw[i+1]))
			i += 2
			continue
		}
		r, _ := hex4(raw, i+2)
		i += 6
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if i+1 < len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
				low, _ = hex4(raw, i+2)
			}
			if r = utf16.DecodeRune(r, low); r == unicode.ReplacementChar {
				return "", ErrText
			}
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// Quote writes text, which must be valid UTF-8, as a JSON string.
func Quote(text string) []byte {
	const hex = "0123456789abcdef"
	out := append(make([]byte, 0, len(text)+2), '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// Fold makes names equal that a reader may take for the same.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		for { // the smallest of all that fold together
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}
