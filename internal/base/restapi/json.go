package restapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
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
	errWrongType = errors.New("must have members of the types that this path takes")
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
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errText
	}
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' || !json.Valid(data) {
		return errNotJSON // json.Valid allows nothing after the value
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return checkValue(dec, 0)
}

func checkValue(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	token, err := dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch t := token.(type) {
	case string:
		return checkText(t)
	case json.Delim:
		return checkMembers(dec, t == '{', depth)
	}
	return nil
}

// checkMembers reads to the end of an object or array.
func checkMembers(dec *json.Decoder, object bool, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		if object {
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
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
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
