package server_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/servertest"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.yaml")

const document = "../../docs/openapi.yaml"

// The committed document is what people read and generate clients from.
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
		t.Errorf("docs/openapi.yaml is not what is served; run go test ./internal/server -update (-committed +served):\n%s", diff)
	}
}

// The document shows no error model but ours, loads nothing from anywhere, and says
// of every route which key it takes.
func TestOpenAPISaysWhatHolds(t *testing.T) {
	f := servertest.New(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]any
		}
		Components struct{ Schemas map[string]any }
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
		for _, status := range []string{"401", "403", "429", "500", "503"} {
			if op.Responses[status] == nil {
				t.Errorf("%s %s: answer %s is not in the document", r.method, r.path, status)
			}
		}
	}
	if strings.Contains(a.Body, "unpkg") || strings.Contains(a.Body, "$schema") {
		t.Error("the document points off the host")
	}
}
