package restapi

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// The errors of strict JSON. Clients get these texts.
var (
	errNotJSON   = errors.New("must be one JSON object and nothing else")
	errTwice     = errors.New("must not have duplicate members")
	errUnknown   = errors.New("must not have unknown members; names must match exactly, including case")
	errText      = errors.New("must be valid Unicode text without NUL")
	errTooDeep   = errors.New("is nested too deep")
	errNull      = errors.New("must not contain null; leave the member out, or give it a value, such as an empty one")
	errWrongType = errors.New("must have the types that the OpenAPI document gives")
)

// maxDepth is more than any body of this API needs.
const maxDepth = 8

// strictJSON is the only format. It writes like encoding/json, without escaping <, > and &, and
// reads bodies that pass [checkJSON], by exact names.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		if err := checkJSON(data); err != nil {
			return err
		}
		return decode(data, reflect.ValueOf(v).Elem())
	},
}

// checkJSON refuses every body that two readers might understand differently.
func checkJSON(data []byte) error { return checkJSONOf(data, nil) }

// checkJSONOf also refuses null, and members that t does not have by exactly that name. Other
// wrong types are left to encoding/json. A nil t allows null and all names.
func checkJSONOf(data []byte, t reflect.Type) error {
	if !utf8.Valid(data) {
		return errText
	}
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' || !json.Valid(data) {
		return errNotJSON // json.Valid allows nothing after the value
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return checkValue(dec, 0, t)
}

func checkValue(dec *json.Decoder, depth int, t reflect.Type) error {
	if depth > maxDepth {
		return errTooDeep
	}
	token, err := dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch v := token.(type) {
	case nil:
		if t != nil {
			return errNull
		}
	case string:
		return checkText(v)
	case json.Delim:
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if v == '{' {
			return checkObject(dec, depth, membersOf(t))
		}
		if t != nil && t.Kind() == reflect.Slice {
			return checkList(dec, depth, t.Elem())
		}
		return checkList(dec, depth, nil)
	}
	return nil
}

// checkObject reads to the end of an object. Nil members allow all names.
func checkObject(dec *json.Decoder, depth int, members map[string]reflect.Type) error {
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return errNotJSON
		}
		if err := checkText(name); err != nil {
			return err
		}
		if seen[name] {
			return errTwice
		}
		seen[name] = true
		member, known := members[name]
		if members != nil && !known {
			return errUnknown
		}
		if err := checkValue(dec, depth+1, member); err != nil {
			return err
		}
	}
	return checkEnd(dec)
}

func checkList(dec *json.Decoder, depth int, of reflect.Type) error {
	for dec.More() {
		if err := checkValue(dec, depth+1, of); err != nil {
			return err
		}
	}
	return checkEnd(dec)
}

func checkEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// memberNames has what membersOf found, by [reflect.Type].
var memberNames sync.Map

// membersOf returns the JSON members of a struct, also those of embedded structs. It returns nil
// for other types, and for types that read their own JSON.
func membersOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	if found, ok := memberNames.Load(t); ok {
		return found.(map[string]reflect.Type)
	}
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	memberNames.Store(t, out)
	return out
}

// checkText: the decoder turns half of a surrogate pair into U+FFFD.
func checkText(text string) error {
	if strings.ContainsRune(text, 0) || strings.ContainsRune(text, utf8.RuneError) {
		return errText
	}
	return nil
}

// decode fills v, a struct of plain fields, by exact names. Other values are left to
// encoding/json.
func decode(data []byte, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return decode(data, v.Elem())
	}
	if v.Kind() != reflect.Struct {
		return wrongType(json.Unmarshal(data, v.Addr().Interface()))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return errNotJSON
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		raw, given := members[name]
		if !given {
			continue
		}
		field := v.Field(i)
		if field.Kind() == reflect.Pointer && string(raw) == "null" {
			return errNull // a pointer distinguishes given from left out; null is neither
		}
		if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
			return errWrongType
		}
		delete(members, name)
	}
	if len(members) > 0 {
		return errUnknown
	}
	return nil
}

// wrongType hides the text of encoding/json, which quotes the input.
func wrongType(err error) error {
	if err != nil {
		return errWrongType
	}
	return nil
}
