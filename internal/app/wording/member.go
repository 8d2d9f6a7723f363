package wording

import (
	"maps"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Member is one field of a key in an audit row, before and after the change. The texts need
// [Clean]; a field that is not set is a dash.
type Member struct {
	Name, Before, After string
	Changed             bool
}

// Members returns all fields of an audit row, in the order of [Change]. For a new key Before is
// a dash.
func Members(e *audit.Event) []Member {
	d := parseDetail(e.Detail)
	var out []Member
	for _, name := range d.members() {
		before, after := d.before[name], d.after[name]
		if before == nil && after == nil {
			continue
		}
		label := name
		if l := labels[name]; l != "" {
			label = l
		}
		was := "-" // without an earlier state, an expiry is not never but unset
		if d.before != nil {
			was = whole(name, before)
		}
		out = append(out, Member{label, was, whole(name, after), d.before != nil && !same(before, after)})
	}
	return out
}

// whole renders all of a member.
func whole(name string, v any) string {
	switch {
	case v == nil && name == "expires_at":
		return "never"
	case v == nil:
		return "-"
	case name == "secrets":
		var out []string
		numbers := numbered(v)
		for _, n := range slices.Sorted(maps.Keys(numbers)) {
			one, s := n, numbers[n]
			if s.scheme != "" {
				one += " as " + s.scheme + " under " + s.pepper
			}
			if s.ends != "" {
				one += " until " + s.ends
			}
			out = append(out, one)
		}
		return strings.Join(out, ", ")
	case isList(v):
		return strings.Join(texts(v), " ")
	case isObject(v):
		return strings.Join(pairs(v), " ")
	}
	if at, ok := moment(v); ok {
		return at.Format("2006-01-02 15:04 UTC")
	}
	return text(v)
}
