package restapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

// encoding/json takes the last of two members, in any case, and repairs invalid Unicode.
// Another parser of the same body would see another request.
func TestStrictJSON(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"good", `{"name":"ci","scopes":["a"],"metadata":{"a":"b"}}`, nil},
		{"space around", " \t\r\n{ \"name\" : \"ci\" }\n", nil},
		{"a pair of surrogates", `{"name":"\ud83d\ude00"}`, nil},
		{"empty", ``, errNotJSON},
		{"space", `  `, errNotJSON},
		{"no object", `"name"`, errNotJSON},
		{"array", `[]`, errNotJSON},
		{"trailing text", `{"name":"ci"}x`, errNotJSON},
		{"trailing object", `{"name":"ci"}{}`, errNotJSON},
		{"trailing NUL", "{\"name\":\"ci\"}\x00", errNotJSON},
		{"trailing comma", `{"name":"ci",}`, errNotJSON},
		{"comment", `{"name":"ci"/**/}`, errNotJSON},
		{"single quotes", `{'name':'ci'}`, errNotJSON},
		{"byte order mark", "\xef\xbb\xbf{\"name\":\"ci\"}", errNotJSON},
		{"twice", `{"name":"ci","name":"x"}`, errTwice},
		{"twice, the same", `{"name":"ci","name":"ci"}`, errTwice},
		{"twice, escaped", `{"name":"ci","n\u0061me":"x"}`, errTwice},
		{"twice, deep", `{"name":"ci","metadata":{"a":"b","a":"c"}}`, errTwice},
		{"twice, in an array", `{"name":"ci","scopes":[{"a":1,"a":2}]}`, errTwice},
		{"another case", `{"Name":"ci"}`, errUnknown},
		{"both cases", `{"name":"ci","NAME":"x"}`, errUnknown},
		{"a letter that folds to k", `{"name":"ci","\u212aind":"admin"}`, errUnknown},
		{"unknown", `{"name":"ci","secret":"x"}`, errUnknown},
		{"a Go field's name", `{"name":"ci","AllowedIPs":[]}`, errUnknown},
		{"NUL in a text", `{"name":"c\u0000i"}`, errText},
		{"NUL in a name", `{"name":"ci","metadata":{"\u0000":"x"}}`, errText},
		{"half a pair", `{"name":"\ud800"}`, errText},
		{"no UTF-8", "{\"name\":\"\xff\"}", errText},
		{"wrong type", `{"name":1}`, errWrongType},
		{"deep", `{"name":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, errTooDeep},
	} {
		var req api.IssueRequest
		if got := strictJSON.Unmarshal([]byte(tc.text), &req); got != tc.want {
			t.Errorf("%s: Unmarshal(%q): got %v, want %v", tc.name, tc.text, got, tc.want)
		}
	}
}

// Every message is on the closed list; one that is not would reach the client as the general
// one.
func TestEveryTextIsOnTheList(t *testing.T) {
	for _, err := range []error{errUnknown, errWrongType} {
		if got := messageOf(err.Error()); got != err.Error() {
			t.Errorf("messageOf(%q): got %q, want itself", err, got)
		}
	}
	if got := messageOf("value mcpk_secret is wrong"); strings.Contains(got, "secret") {
		t.Errorf("messageOf: got %q, want nothing of what it was given", got)
	}
	if got := messageOf("expected number >= 1"); got != "must be at least 1" {
		t.Errorf("messageOf: got %q", got)
	}
}

// decode reads members by the exact names of plain fields, which works only if no body has a
// struct inside.
func TestBodiesAreFlat(t *testing.T) {
	for _, body := range []any{api.IssueRequest{}, api.RevokeRequest{}, api.VerifyRequest{}} {
		typ := reflect.TypeOf(body)
		for i := range typ.NumField() {
			f := typ.Field(i)
			switch f.Type.Kind() {
			case reflect.Struct, reflect.Pointer, reflect.Interface:
				t.Errorf("%s.%s is a %s: strict decoding must learn to go inside first", typ.Name(), f.Name, f.Type)
			}
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == "" {
				t.Errorf("%s.%s has no json name", typ.Name(), f.Name)
			}
		}
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, text := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":null}]}}`, `{`, ``, "{}\x00", `{"a":"\ud800"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) != nil {
			return
		}
		var v map[string]any
		if err := strictJSON.Unmarshal(data, &v); err != nil {
			t.Errorf("checkJSON(%q) passes, Unmarshal: %v", data, err)
		}
	})
}
