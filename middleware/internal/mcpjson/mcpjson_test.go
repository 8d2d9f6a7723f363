package mcpjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
)

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]error{
		"": mcpjson.ErrSyntax, " ": mcpjson.ErrSyntax, "{": mcpjson.ErrSyntax, `{"a":}`: mcpjson.ErrSyntax, `{"a":1,}`: mcpjson.ErrSyntax,
		"[1,]": mcpjson.ErrSyntax, "01": mcpjson.ErrSyntax, "-": mcpjson.ErrSyntax, "1.": mcpjson.ErrSyntax, "1e": mcpjson.ErrSyntax, "+1": mcpjson.ErrSyntax,
		"nul": mcpjson.ErrSyntax, "NaN": mcpjson.ErrSyntax, "'a'": mcpjson.ErrSyntax, "\"a\nb\"": mcpjson.ErrSyntax, `"\x"`: mcpjson.ErrSyntax, `"\u12g4"`: mcpjson.ErrSyntax,
		"{}{}": mcpjson.ErrTrailing, "{} x": mcpjson.ErrTrailing, "{}\x00": mcpjson.ErrTrailing, "\x00{}": mcpjson.ErrSyntax, "\ufeff{}": mcpjson.ErrSyntax,
		"\"\xff\"": mcpjson.ErrUTF8, "\"\xc0\x80\"": mcpjson.ErrUTF8, "\"\xed\xa0\x80\"": mcpjson.ErrUTF8,
		strings.Repeat("[", 513) + strings.Repeat("]", 513): mcpjson.ErrDepth, strings.Repeat(`{"a":`, 100000): mcpjson.ErrDepth,
		`{a:1}`: mcpjson.ErrSyntax, `{"a" 1}`: mcpjson.ErrSyntax, `[1 2]`: mcpjson.ErrSyntax, "//x\n1": mcpjson.ErrSyntax, "\v1": mcpjson.ErrSyntax,
	} {
		if _, err := mcpjson.Parse([]byte(text)); !errors.Is(err, want) {
			t.Errorf("Parse(%.40q): got %v, want %v", text, err, want)
		}
	}
	if _, err := mcpjson.Parse([]byte(" " + strings.Repeat("[", 512) + strings.Repeat("]", 512) + "\r\n\t")); err != nil {
		t.Errorf("Parse of depth 512: %v", err)
	}
}

func TestObjectRefusesWhatReadersReadDifferently(t *testing.T) {
	for text, want := range map[string]error{
		`{"name":1,"name":1}`:       mcpjson.ErrDuplicate,
		`{"name":1,"n\u0061me":1}`:  mcpjson.ErrDuplicate,
		`{"name":1,"NAME":1}`:       mcpjson.ErrCase,
		`{"NAME":1}`:                mcpjson.ErrCase,
		`{"\u212Aind":1}`:           mcpjson.ErrCase, // the sign for Kelvin
		`{"\u017Fecret":1}`:         mcpjson.ErrCase, // a long s
		`{"other":1,"Other":1}`:     mcpjson.ErrDuplicate,
		`{"\ud800":1}`:              mcpjson.ErrText,
		`[]`:                        mcpjson.ErrType,
		`{"names":1,"x":{"x":{}}}`:  nil,
		`{"a":{"name":1,"name":2}}`: nil,
	} {
		v, err := mcpjson.Parse([]byte(text))
		if err != nil {
			t.Fatalf("Parse(%s): %v", text, err)
		}
		if _, err := v.Object("name", "kind", "secret"); !errors.Is(err, want) {
			t.Errorf("Object of %s: got %v, want %v", text, err, want)
		}
	}
}

// The same for an object with many members, which costs little for each.
func TestManyMembers(t *testing.T) {
	text := []byte{'{'}
	for i := range 9000 {
		text = fmt.Appendf(text, `"m%d":0,`, i)
	}
	for last, want := range map[string]error{`"n":0}`: nil, `"M7":0}`: mcpjson.ErrDuplicate, `"m8999":0}`: mcpjson.ErrDuplicate, `"NAME":0}`: mcpjson.ErrCase} {
		v, err := mcpjson.Parse(append(text[:len(text):len(text)], last...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Object("name"); !errors.Is(err, want) {
			t.Errorf("Object that ends with %s: got %v, want %v", last, err, want)
		}
	}
}

// The attack: a message of 4 MB with some hundred thousand members takes a hundred MB of memory.
func TestA22TooManyMembers(t *testing.T) {
	text := []byte{'{'}
	for i := range 10_001 {
		text = fmt.Appendf(text, `"m%d":0,`, i)
	}
	v, err := mcpjson.Parse(append(text, `"n":0}`...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Object(); !errors.Is(err, mcpjson.ErrMembers) {
		t.Errorf("Object: got %v, want too many members", err)
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`"a"`: "a", `"\u0041\n\/\"\\"`: "A\n/\"\\", `"\ud83d\ude00"`: "😀", `"ä\u00e4\u0000"`: "ää\x00", `""`: "",
	} {
		v, _ := mcpjson.Parse([]byte(text))
		if got, err := v.Text(); err != nil || got != want {
			t.Errorf("Text of %s: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		`"\ud800"`: mcpjson.ErrText, `"\ud800x"`: mcpjson.ErrText, `"\udc00\ud800"`: mcpjson.ErrText, `"\ud800\u0041"`: mcpjson.ErrText, `1`: mcpjson.ErrType,
	} {
		v, _ := mcpjson.Parse([]byte(text))
		if _, err := v.Text(); !errors.Is(err, want) {
			t.Errorf("Text of %s: got %v, want %v", text, err, want)
		}
	}
}

func TestWithChangesNothingElse(t *testing.T) {
	edit := func(name, raw string) mcpjson.Edit { return mcpjson.Edit{Name: name, Raw: []byte(raw)} }
	gone := func(name string) mcpjson.Edit { return mcpjson.Edit{Name: name} }
	for _, c := range []struct {
		text  string
		edits []mcpjson.Edit
		want  string
	}{
		{`{ "a" : 1.50 , "b":[ ] }`, nil, `{ "a" : 1.50 , "b":[ ] }`},
		{`{ "a" : 1.50 , "b":[ ] }`, []mcpjson.Edit{edit("b", "2")}, `{ "a" : 1.50 , "b":2 }`},
		{`{ "a" : 1.50 , "b":[ ] }`, []mcpjson.Edit{gone("a")}, `{ "b":[ ] }`},
		{`{ "a" : 1.50 , "b":[ ] }`, []mcpjson.Edit{gone("b")}, `{ "a" : 1.50 }`},
		{`{"a":1,"b":2,"c":3}`, []mcpjson.Edit{gone("b"), edit("d", "4")}, `{"a":1,"c":3,"d":4}`},
		{`{"a":1}`, []mcpjson.Edit{gone("a"), edit("d\n", "4")}, `{"d\u000a":4}`},
		{`{}`, []mcpjson.Edit{gone("a"), edit("b", "4")}, `{"b":4}`},
	} {
		v, err := mcpjson.Parse([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		o, err := v.Object()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.With(c.edits...)); got != c.want {
			t.Errorf("With on %s: got %s, want %s", c.text, got, c.want)
		}
	}
}

// FuzzAgainstEncodingJSON: encoding/json reads what Parse accepts, with the same values; and of an object
// that Object accepts it finds the same method, whatever the case of its members.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"method":"tools/call","params":{"name":"x","arguments":{"a":1,"a":2}}}`, `{"METHOD":"a","method":"b"}`, `{"m\u0065thod":"a"}`,
		`[1,-0.5e+7,"\ud83d\ude00",null,true,{}]`, ` { "a" : [ ] } `, "{\"a\":\"\xff\"}", `"\ud800"`, `{"method":"a"}x`, `{"method":"a","method":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := mcpjson.Parse(text)
		if err != nil {
			return
		}
		var theirs any
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("Parse accepts %q, encoding/json says %v", text, err)
		}
		var again any
		if err := json.Unmarshal(v.Raw(), &again); err != nil || !reflect.DeepEqual(theirs, again) {
			t.Errorf("Raw of %q: got %v, %v", text, again, err)
		}
		if s, err := v.Text(); err == nil && s != theirs {
			t.Errorf("Text of %q: got %q, want %q", text, s, theirs)
		}
		if list, ok := theirs.([]any); ok && len(v.Elements()) != len(list) {
			t.Errorf("Elements of %q: got %d, want %d", text, len(v.Elements()), len(list))
		}
		o, err := v.Object("method")
		if err != nil {
			return
		}
		if !bytes.Equal(o.With(), v.Raw()) {
			t.Errorf("With on %q: got %q", text, o.With())
		}
		var m struct{ Method json.RawMessage }
		if err := json.Unmarshal(text, &m); err != nil || !bytes.Equal(m.Method, o.Get("method").Raw()) {
			t.Errorf("method of %q: got %q, want %q", text, o.Get("method").Raw(), m.Method)
		}
		for _, name := range o.Names() {
			changed := o.With(mcpjson.Edit{Name: name}, mcpjson.Edit{Name: "added", Raw: []byte("1")})
			if !json.Valid(changed) {
				t.Errorf("%q without %q: got %q", text, name, changed)
			}
		}
	})
}
