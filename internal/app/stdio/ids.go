package stdio

import (
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// unquoted returns the text of a JSON string, and nothing for other values.
func unquoted(value []byte) string {
	if len(value) == 0 || value[0] != '"' {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(text)
}

// idKey is equal for ids that are equal as values: 1, 1.0 and 1e0, but not "1". Programs read
// numbers as floating point, so numbers that differ only beyond its precision are equal.
func idKey(raw []byte) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	if raw[0] == '"' {
		return "s" + unquoted(raw), true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) {
		return "", false
	}
	return "n" + strconv.FormatFloat(f+0, 'f', -1, 64), true
}

// An edit replaces a place of a message.
type edit struct {
	at span
	to []byte
}

// with returns the text of m with edits; places that do not exist are left out.
func (m *message) with(edits ...edit) []byte {
	edits = slices.DeleteFunc(edits, func(e edit) bool { return e.at.none() })
	if len(edits) == 0 {
		return m.text
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.at.from - b.at.from })
	var out []byte
	from := 0
	for _, e := range edits {
		out = append(append(out, m.text[from:e.at.from]...), e.to...)
		from = e.at.to
	}
	return append(out, m.text[from:]...)
}
