package server_test

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

const document = "../../../docs/openapi.yaml"

// The committed document is read by people and used to generate clients.
func TestOpenAPIUpToDate(t *testing.T) {
	f := servertest.New(t)
	a := f.Send("GET", "/openapi.yaml", "", "")
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/openapi+yaml" {
		t.Fatalf("GET /openapi.yaml: got %d %v", a.Status, a.Header)
	}
	if *update {
		if err := os.WriteFile(document, []byte(a.Body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), a.Body); diff != "" {
		t.Errorf("docs/openapi.yaml is not what is served; run go test ./internal/app/server -update (-committed +served):\n%s", diff)
	}
}

// The document has only our error model, loads nothing from other hosts, and says for each
// route which key it takes.
func TestOpenAPISaysWhatHolds(t *testing.T) {
	f := servertest.New(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]struct{ Headers map[string]any }
		}
		Components struct {
			Schemas map[string]struct{ AdditionalProperties any }
		}
	}
	a := f.Send("GET", "/openapi.json", "", "")
	a.Read(t, &doc)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi: got %q, want 3.1.0", doc.OpenAPI)
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		if _, ok := doc.Components.Schemas[name]; ok {
			t.Errorf("schemas: %s is not of this API", name)
		}
	}
	for _, r := range routes {
		if strings.HasPrefix(r.path, protocol.PathLease) {
			continue // messages between programs of mcpkeys, which package protocol describes
		}
		op, ok := doc.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", r.method, r.path)
			continue
		}
		want := []map[string][]string{{"adminKey": {r.scope}}}
		if r.scope == "" {
			want = []map[string][]string{{"anyKey": {}}}
		}
		if diff := cmp.Diff(want, op.Security); diff != "" {
			t.Errorf("%s %s: security (-want +got):\n%s", r.method, r.path, diff)
		}
		for status, headers := range map[string][]string{
			strconv.Itoa(r.status): nil, "400": {"WWW-Authenticate"}, "401": {"WWW-Authenticate"}, "403": nil, "421": nil, "422": nil,
			"429": {"Retry-After", "RateLimit", "RateLimit-Policy"}, "500": nil, "503": {"Retry-After"},
		} {
			for _, header := range append(headers, "X-Request-Id") {
				if op.Responses[status].Headers[header] == nil {
					t.Errorf("%s %s: answer %s with %s is not in the document", r.method, r.path, status, header)
				}
			}
		}
	}
	// A client that was generated from the document must accept answers with new members; a
	// request with an unknown member is refused.
	for name, schema := range doc.Components.Schemas {
		if open, request := schema.AdditionalProperties == nil, strings.HasSuffix(name, "Request"); open == request {
			t.Errorf("schema %s: additionalProperties is %v", name, schema.AdditionalProperties)
		}
	}
	if strings.Contains(a.Body, "unpkg") || strings.Contains(a.Body, "$schema") {
		t.Error("the document points off the host")
	}
}
