package restapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
		{"deep", `{"name":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, errWrongType},
	} {
		var req api.IssueRequest
		if got := strictJSON.Unmarshal([]byte(tc.text), &req); !errors.Is(got, tc.want) {
			t.Errorf("%s: Unmarshal(%q): got %v, want %v", tc.name, tc.text, got, tc.want)
		}
	}
}

// Every message is on the closed list; one that is not would reach the client as the general
// one.
func TestEveryTextIsOnTheList(t *testing.T) {
	for _, err := range []error{errNotJSON, errTwice, errText, errUnknown, errNull, errWrongType} {
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

// What this decoder accepts, encoding/json understands in the same way: a program that passes a
// body on to another reader passes on the same request.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"key":"a"}`, `{"key":"a","key":"b"}`, `{"Key":"a"}`, `{"key":"a","scopes":["b"],"cost":1e0}`, `{`, ``, "{}\x00",
		`{"key":"\ud800"}`, `{"key":"\u0000"}`, `{"scopes":[null]}`, `{"key":"\ud83d\ude00"}`, `{"\u006bey":"a"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want api.VerifyRequest
		if decode(data, &got) != nil {
			return
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("decode(%q) passes, encoding/json: %v", data, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("decode(%q) (-encoding/json +got):\n%s", data, diff)
		}
		if bytes.ContainsRune([]byte(got.Key+strings.Join(got.Scopes, "")), 0) {
			t.Errorf("decode(%q): got a NUL", data)
		}
	})
}
