package wording

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Action is the short name of an action: revoke for key.revoke. It needs [Clean].
func Action(a audit.Action) string { return strings.TrimPrefix(string(a), "key.") }

// KeyOf is how an audit row names its key: by its label at the time of the change, else by its
// id, or - if it is not about a key. It needs [Clean].
func KeyOf(e *audit.Event) string {
	d := parseDetail(e.Detail)
	for _, state := range []object{d.after, d.before} {
		if name, _ := state["name"].(string); name != "" {
			owner, _ := state["owner"].(string)
			return (&keys.Key{Name: name, Owner: owner}).Label()
		}
	}
	if e.KeyID == "" {
		return "-"
	}
	return e.KeyID
}

// Change says in a line what an audit row changed, such as "scopes: +tools:a -tools:b,
// expires: 2027-01-31 -> never"; for a new key, what it may do and when it expires. It also
// names members that this version does not know. It needs [Clean].
func Change(e *audit.Event) string {
	d := parseDetail(e.Detail)
	if d.damaged {
		return "its detail cannot be read"
	}
	parts := d.parts()
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// Difference is Change for two states of a key, with one text for each field that differs. The
// texts need [Clean].
func Difference(before, after *keys.Key, now time.Time) []string {
	d := parseDetail(audit.ChangeDetail(before, after, now))
	return d.parts()
}

func (d *change) parts() []string {
	var parts []string
	for _, name := range d.members() {
		if text := d.member(name); text != "" {
			parts = append(parts, text)
		}
	}
	return parts
}

type object = map[string]any

// change is the detail of an audit row.
type change struct {
	before, after object // before is nil for a new key
	damaged       bool
}

func parseDetail(detail string) change {
	dec := json.NewDecoder(strings.NewReader(detail))
	dec.UseNumber()
	var all object
	if dec.Decode(&all) != nil {
		return change{damaged: true}
	}
	after, ok := all["after"].(object)
	if !ok {
		return change{after: all} // a row that is not about a key has no states
	}
	before, _ := all["before"].(object)
	return change{before: before, after: after}
}

// isNewKey reports whether the row is about a new key, which has no state before.
func (d *change) isNewKey() bool {
	_, versioned := d.after["version"]
	return d.before == nil && versioned
}

// silent reports whether a member is left out: the version always, and for a new key its
// label, which is in another column, its active status and its only secret.
func (d *change) silent(name string) bool {
	if name == "version" {
		return true
	}
	return d.isNewKey() && (slices.Contains([]string{"name", "owner", "status", "secrets"}, name) ||
		name == "kind" && d.after["kind"] == string(keys.KindKey))
}

// members returns the names of the members of both states, the known ones first and the reason
// last.
func (d *change) members() []string {
	known := []string{"tampered", "name", "owner", "kind", "scopes", "audience", "allowed_ips", "rate_limit", "metadata", "expires_at", "max_key_life", "status", "secrets"}
	all := maps.Clone(d.after)
	if all == nil {
		all = object{}
	}
	maps.Copy(all, d.before)
	var others []string
	for name := range all {
		if !slices.Contains(known, name) && name != "reason" {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(append(known, others...), "reason")
}

// labels are the names of members in texts, if they differ from the JSON names.
var labels = map[string]string{"allowed_ips": "from", "rate_limit": "rate", "metadata": "meta", "expires_at": "expires", "max_key_life": "max key life"}

// member says how one member changed; it is empty if it did not.
func (d *change) member(name string) string {
	before, after := d.before[name], d.after[name]
	endless := name == "expires_at" && d.isNewKey() // never is shown for a new key
	if d.silent(name) || same(before, after) && !endless {
		return ""
	}
	label := name
	if l := labels[name]; l != "" {
		label = l
	}
	switch name {
	case "tampered":
		return "the row had been changed outside mcpkeys"
	case "secrets":
		return secrets(before, after)
	case "expires_at":
		return label + ": " + d.arrow(dates(before, after))
	}
	switch {
	case isList(before) || isList(after):
		return label + ": " + d.signed(texts(before), texts(after))
	case isObject(before) || isObject(after):
		return label + ": " + d.signed(pairs(before), pairs(after))
	case name == "reason":
		return label + ": " + text(after)
	}
	return label + ": " + d.arrow(text(before), text(after))
}

// arrow is "before -> after"; for a new key only after.
func (d *change) arrow(before, after string) string {
	if d.before == nil {
		return after
	}
	return before + " -> " + after
}

// signed lists the added texts with + and the removed ones with -; for a new key all texts.
func (d *change) signed(before, after []string) string {
	if d.before == nil {
		return strings.Join(after, " ")
	}
	var out []string
	for _, t := range after {
		if !slices.Contains(before, t) {
			out = append(out, "+"+t)
		}
	}
	for _, t := range before {
		if !slices.Contains(after, t) {
			out = append(out, "-"+t)
		}
	}
	if len(out) == 0 {
		return "in another order"
	}
	return strings.Join(out, " ")
}

// dates renders two times as days, or to the minute if they are on the same day.
func dates(before, after any) (string, string) {
	const never = "never"
	b, bok := moment(before)
	a, aok := moment(after)
	layout := time.DateOnly
	if bok && aok && b.Format(layout) == a.Format(layout) {
		layout = "2006-01-02 15:04 UTC"
	}
	from, to := never, never
	if bok {
		from = b.Format(layout)
	}
	if aok {
		to = a.Format(layout)
	}
	return from, to
}

func moment(v any) (time.Time, bool) {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err == nil
}

// secrets says which secrets came, ended or changed, by their numbers.
func secrets(before, after any) string {
	old, now := numbered(before), numbered(after)
	var out []string
	for _, n := range slices.Sorted(maps.Keys(now)) {
		was, known := old[n]
		switch {
		case !known:
			out = append(out, "+"+n)
		case was.ends != now[n].ends && now[n].ends != "":
			out = append(out, n+" ends "+now[n].ends)
		}
		if known && was.scheme != now[n].scheme {
			out = append(out, n+" "+was.scheme+" -> "+now[n].scheme)
		}
		if known && was.pepper != now[n].pepper {
			out = append(out, n+" pepper "+was.pepper+" -> "+now[n].pepper)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(old)) {
		if _, kept := now[n]; !kept {
			out = append(out, "-"+n)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "secrets: " + strings.Join(out, " ")
}

// secret is the end of a secret, empty if it ends with its key, and its scheme and pepper,
// which only the row of a re-hash has.
type secret struct{ ends, scheme, pepper string }

// numbered returns the secrets by their numbers.
func numbered(v any) map[string]secret {
	out := map[string]secret{}
	list, _ := v.([]any)
	for _, one := range list {
		told, _ := one.(object)
		s := secret{}
		if at, ok := moment(told["expires_at"]); ok {
			s.ends = at.Format("2006-01-02 15:04 UTC")
		}
		if told["scheme"] != nil && told["pepper"] != nil {
			s.scheme, s.pepper = text(told["scheme"]), text(told["pepper"])
		}
		out[text(told["number"])] = s
	}
	return out
}

func isList(v any) bool   { _, ok := v.([]any); return ok }
func isObject(v any) bool { _, ok := v.(object); return ok }

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = text(one)
	}
	return out
}

func pairs(v any) []string {
	o, _ := v.(object)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		out = append(out, name+"="+text(o[name]))
	}
	return out
}

// text renders a single value.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return rendered(v)
}

func same(a, b any) bool { return rendered(a) == rendered(b) }

// rendered is v as JSON, with the members in the order of their names.
func rendered(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // v was parsed from JSON
	return strings.TrimSuffix(b.String(), "\n")
}
