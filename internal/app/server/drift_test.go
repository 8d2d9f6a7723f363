package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// schema is what docs/openapi.yaml says about one value.
type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any    // a string, or a list of them
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties any
	Items                *schema
	Examples, Enum       []any
	MinItems, MaxItems   *int
	Minimum, Maximum     *float64
}

// plainDoc is the document, as far as the plain routes need it.
type plainDoc struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name, In string
			Required bool
			Schema   *schema
		}
		RequestBody struct {
			Content map[string]struct{ Schema *schema }
		}
	}
	Components struct{ Schemas map[string]*schema }
}

func (d *plainDoc) resolve(s *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

// valid is a value that the schema allows. Name is that of its member.
func (d *plainDoc) valid(t *testing.T, s *schema, name string) any {
	t.Helper()
	s = d.resolve(s)
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == "string":
		return "text"
	case s.Type == "array":
		return []any{d.valid(t, s.Items, name)}
	case s.Type == "object":
		out := map[string]any{}
		for member, of := range s.Properties {
			out[member] = d.valid(t, of, member)
		}
		return out
	}
	t.Fatalf("%s: no value of type %v", name, s.Type)
	return nil
}

// invalid are values that the schema does not allow.
func (d *plainDoc) invalid(t *testing.T, s *schema, name string) []any {
	t.Helper()
	s = d.resolve(s)
	out := []any{nil, true}
	switch s.Type {
	case "string":
		out = append(out, 1, []any{"text"})
	case "integer":
		out = append(out, "1", 1.5)
	case "array", "object":
		out = append(out, "text", 1)
	}
	if s.Minimum != nil {
		out = append(out, *s.Minimum-1)
	}
	if s.Maximum != nil {
		out = append(out, *s.Maximum+1)
	}
	if s.MaxItems != nil {
		out = append(out, slices.Repeat([]any{d.valid(t, s.Items, name)}, *s.MaxItems+1))
	}
	if s.MinItems != nil && *s.MinItems > 0 {
		out = append(out, []any{})
	}
	return out
}

// variant is a body that differs from a valid one.
type variant struct {
	what   string
	body   any
	status int
	field  string // in errors; empty: any
}

// variants are the bodies that the schema of an object allows and does not allow, in which
// every object on the way down changes.
func (d *plainDoc) variants(t *testing.T, s *schema, at string) []variant {
	t.Helper()
	s = d.resolve(s)
	if s.AdditionalProperties != false {
		t.Errorf("%s: the schema allows other members", at)
	}
	whole := d.valid(t, s, at).(map[string]any)
	with := func(member string, value any) map[string]any {
		out := maps.Clone(whole)
		out[member] = value
		return out
	}
	out := []variant{
		{at + " whole", whole, 200, ""},
		{at + " with an unknown member", with("unknown", "text"), 422, ""},
	}
	least := map[string]any{}
	for _, member := range s.Required {
		least[member] = whole[member]
	}
	out = append(out, variant{at + " with the required members", least, 200, ""})
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		of := d.resolve(s.Properties[member])
		missing := maps.Clone(whole)
		delete(missing, member)
		if slices.Contains(s.Required, member) {
			out = append(out, variant{at + " without " + member, missing, 422, at + member})
		} else {
			one := maps.Clone(least)
			one[member] = whole[member]
			out = append(out, variant{at + " without " + member, missing, 200, ""}, variant{at + " with " + member + " alone", one, 200, ""})
		}
		out = append(out, variant{at + " with " + strings.ToUpper(member), with(strings.ToUpper(member), whole[member]), 422, ""})
		for _, value := range d.invalid(t, of, member) {
			text, _ := json.Marshal(value)
			out = append(out, variant{at + " with " + member + " " + string(text[:min(len(text), 40)]), with(member, value), 422, ""})
		}
		if of.Type == "array" && d.resolve(of.Items).Type == "object" {
			for _, v := range d.variants(t, of.Items, at+member+"[0].") {
				v.body = with(member, []any{v.body})
				out = append(out, v)
			}
		}
	}
	return out
}

func read(t *testing.T, f *servertest.Fixture) *plainDoc {
	t.Helper()
	d := &plainDoc{}
	f.Send("GET", "/openapi.json", "", "").Read(t, d)
	return d
}

// The plain routes read their bodies without huma, so nothing else compares them with the
// document: what it requires, what it allows, and nothing more.
func TestPlainRoutesReadWhatTheDocumentSays(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	d := read(t, f)
	for _, path := range []string{"/v1/verify", "/v1/verify/batch"} {
		all := d.variants(t, d.Paths[path]["post"].RequestBody.Content["application/json"].Schema, "")
		if len(all) < 10 {
			t.Errorf("%s: only %d bodies", path, len(all))
		}
		for _, v := range all {
			body, err := json.Marshal(v.body)
			if err != nil {
				t.Fatal(err)
			}
			a := f.Send("POST", path, caller, string(body))
			if a.Status != v.status {
				t.Errorf("%s: %s: got %d %.200s, want %d", path, v.what, a.Status, a.Body, v.status)
				continue
			}
			if v.field == "" {
				continue
			}
			if p := a.Problem(t); len(p.Errors) != 1 || p.Errors[0].Field != v.field {
				t.Errorf("%s: %s: got %v, want the field %s", path, v.what, p.Errors, v.field)
			}
		}
	}
}

// The form of an introspection, and the query. Unknown members of a form are ignored, as RFC 7662
// demands, and the document allows them.
func TestIntrospectionReadsWhatTheDocumentSays(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	values := map[string]string{"token": token, "audience": "weather", "scope": "tools:a", "client_ip": "10.0.0.7", "client_secret": caller}
	judged := []string{"audience", "scope", "client_ip"}
	op := read(t, f).Paths["/v1/introspect"]["post"]
	send := func(form, query url.Values) servertest.Answer {
		token := caller
		if form.Has("client_secret") {
			token = ""
		}
		r := f.Request("POST", "/v1/introspect?"+query.Encode(), token, form.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return f.Do(r)
	}
	s := op.RequestBody.Content["application/x-www-form-urlencoded"].Schema
	least := url.Values{}
	for _, member := range s.Required {
		least.Set(member, values[member])
	}
	if a := send(least, nil); a.Status != http.StatusOK {
		t.Errorf("the required members: got %d %s", a.Status, a.Body)
	}
	for _, member := range append(slices.Sorted(maps.Keys(s.Properties)), "unknown") {
		form := maps.Clone(least)
		if slices.Contains(s.Required, member) {
			form.Del(member)
			if a := send(form, nil); a.Status != 422 || a.Problem(t).Errors[0].Field != member {
				t.Errorf("without %s: got %d %s", member, a.Status, a.Body)
			}
			continue
		}
		value := values[member]
		if value == "" {
			value = "text"
		}
		form.Set(member, value)
		if a := send(form, nil); a.Status != http.StatusOK || !strings.Contains(a.Body, `"active":true`) {
			t.Errorf("%s in the form: got %d %s", member, a.Status, a.Body)
		}
		form.Set(member, "not *valid")
		if a := send(form, nil); slices.Contains(judged, member) && a.Status != 422 {
			t.Errorf("a wrong %s in the form: got %d %s, want 422", member, a.Status, a.Body)
		}
	}
	if s.AdditionalProperties == false {
		t.Error("the document does not allow unknown members of the form")
	}
	for _, p := range op.Parameters {
		if a := send(least, url.Values{p.Name: {values[p.Name]}}); p.In != "query" || p.Required || a.Status != http.StatusOK {
			t.Errorf("%s in the query: got %d %s", p.Name, a.Status, a.Body)
		}
		if a := send(least, url.Values{p.Name: {"not *valid"}}); !slices.Contains(judged, p.Name) || a.Status != 422 {
			t.Errorf("a wrong %s in the query: got %d", p.Name, a.Status)
		}
		if a := send(least, url.Values{p.Name: {values[p.Name], values[p.Name]}}); a.Status != 422 {
			t.Errorf("%s twice in the query: got %d", p.Name, a.Status)
		}
	}
	for _, name := range []string{"unknown", "token", "client_secret"} {
		if a := send(least, url.Values{name: {"text"}}); a.Status != 422 {
			t.Errorf("%s in the query: got %d, want 422", name, a.Status)
		}
	}
}

// The query of the route for proxies.
func TestForwardAuthReadsWhatTheDocumentSays(t *testing.T) {
	f := servertest.New(t)
	token, _ := f.Issue(admin.IssueRequest{Scopes: []string{"tools:a"}})
	values := map[string]string{"audience": "weather", "scope": "tools:a", "deny": "403"}
	op := read(t, f).Paths["/v1/forward-auth"]["get"]
	whole := url.Values{}
	for _, p := range op.Parameters {
		whole.Set(p.Name, values[p.Name])
	}
	if a := ask(t, f, "GET", "?"+whole.Encode(), token); len(whole) != len(values) || a.StatusCode != http.StatusOK {
		t.Errorf("%v: got %d", whole, a.StatusCode)
	}
	for _, p := range op.Parameters {
		rest := maps.Clone(whole)
		rest.Del(p.Name)
		want := http.StatusOK
		if p.Required {
			want = http.StatusUnprocessableEntity
		}
		if a := ask(t, f, "GET", "?"+rest.Encode(), token); p.In != "query" || a.StatusCode != want {
			t.Errorf("without %s: got %d, want %d", p.Name, a.StatusCode, want)
		}
		wrong := maps.Clone(whole)
		wrong.Set(p.Name, "not *valid")
		if a := ask(t, f, "GET", "?"+wrong.Encode(), token); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("a wrong %s: got %d, want 422", p.Name, a.StatusCode)
		}
		twice := maps.Clone(whole)
		twice[p.Name] = append(slices.Clone(twice[p.Name]), values[p.Name])
		if a := ask(t, f, "GET", "?"+twice.Encode(), token); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s twice: got %d, want 422", p.Name, a.StatusCode)
		}
	}
	if a := ask(t, f, "GET", "?"+whole.Encode()+"&unknown=1", token); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an unknown parameter: got %d, want 422", a.StatusCode)
	}
}
