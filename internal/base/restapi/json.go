package restapi

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The errors of strict JSON. Clients get these texts.
var (
	errNotJSON   = errors.New("must be one JSON object and nothing else")
	errTwice     = errors.New("must not have duplicate members")
	errUnknown   = errors.New("must not have unknown members; names must match exactly, including case")
	errText      = errors.New("must be valid Unicode text without NUL")
	errNull      = errors.New("must not contain null; leave the member out, or give it a value, such as an empty one")
	errWrongType = errors.New("has a value of the wrong type")
)

// strictJSON is the only format. It writes like encoding/json, without escaping <, > and &, and
// reads with [decode].
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := stdjson.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: decode,
}

// exactly refuses members that the target does not have by exactly that name. Without options
// the library already refuses duplicate members, text that is not Unicode, and anything after
// the value.
var exactly = json.RejectUnknownMembers(true)

// decode reads one JSON object into v, and refuses every body that two readers might understand
// differently. It fails with one of the errors above.
func decode(data []byte, v any) error {
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return errNotJSON
	}
	if err := json.Unmarshal(data, v, exactly); err != nil {
		return faultOf(data, err)
	}
	if bytes.Contains(data, []byte("null")) || bytes.Contains(data, []byte(`\u0000`)) {
		return checkTokens(data)
	}
	return nil
}

// faultOf hides the text of the library, which quotes the input.
func faultOf(data []byte, err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errTwice
	case errors.Is(err, json.ErrUnknownName):
		return errUnknown
	case !errors.As(err, &syntax):
		return &typeError{memberOf(err)}
	case !utf8.Valid(data) || stdjson.Valid(data): // half of a surrogate pair is valid for encoding/json
		return errText
	}
	return errNotJSON
}

// typeError is an [errWrongType] that names the member of the outermost object.
type typeError struct{ member string }

func (e *typeError) Error() string { return errWrongType.Error() }
func (e *typeError) Unwrap() error { return errWrongType }

// memberOf names the member that err is about. It is one of the target's members: others are
// refused before.
func memberOf(err error) string {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return ""
	}
	for member := range semantic.JSONPointer.Tokens() {
		return member
	}
	return ""
}

// lacks returns the first of members that data, which was decoded without an error, does not
// have.
func lacks(data []byte, members []string) string {
	for _, member := range members {
		if bytes.Contains(data, []byte(`"`+member+`":`)) { // only a name is followed by a colon
			continue
		}
		var given map[string]jsontext.Value // a name may have escapes, or space after it
		if err := json.Unmarshal(data, &given); err != nil {
			return member
		}
		if _, has := given[member]; !has {
			return member
		}
	}
	return ""
}

// checkTokens refuses null and NUL at any depth.
func checkTokens(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errNotJSON
		case token.Kind() == jsontext.KindNull:
			return errNull
		case token.Kind() == jsontext.KindString && strings.ContainsRune(token.String(), 0):
			return errText
		}
	}
}
