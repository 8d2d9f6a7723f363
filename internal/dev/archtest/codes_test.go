package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/errors.md lists every code that a client or an operator can get. A code is found where
// it is written: as a constant, as the Code of an answer, or in the table of exit codes. Every
// code needs a row, and every row a code.
func TestErrorsPageHasEveryCode(t *testing.T) {
	page := pageTables(t, "docs/errors.md")
	decisions := map[string]string{}
	for name, value := range stringConsts(t, "keys") {
		if strings.HasPrefix(name, "Code") {
			decisions[value] = ""
		}
	}
	compareRows(t, "Decisions", page["Decisions"], decisions)
	compareRows(t, "HTTP", page["HTTP"], httpCodes(t))
	compareRows(t, "JSON-RPC", page["JSON-RPC"], rpcCodes(t))
	compareRows(t, "keyctl", page["keyctl"], exitCodes(t))
}

// compareRows reports rows that only one of the two has, and rows with another second column.
// An empty second column of the code is not compared.
func compareRows(t *testing.T, section string, page, code map[string]string) {
	t.Helper()
	if len(code) < 4 {
		t.Errorf("%s: the code has only %v: it is looked for in the wrong place", section, code)
	}
	for _, c := range slices.Sorted(maps.Keys(code)) {
		second, ok := page[c]
		switch {
		case !ok:
			t.Errorf("docs/errors.md, %q: no row for %s", section, c)
		case code[c] != "" && code[c] != second:
			t.Errorf("docs/errors.md, %q: the row of %s says %q, the code says %q", section, c, second, code[c])
		}
	}
	for _, c := range slices.Sorted(maps.Keys(page)) {
		if _, ok := code[c]; !ok {
			t.Errorf("docs/errors.md, %q: a row for %s, which is not in the code", section, c)
		}
	}
}

// httpCodes are the codes of problems, with their statuses where these stand beside them.
func httpCodes(t *testing.T) map[string]string {
	found := map[string]map[string]bool{}
	note := func(code, status string) {
		if found[code] == nil {
			found[code] = map[string]bool{}
		}
		if status != "" {
			found[code][status] = true
		}
	}
	elsewhere := map[string]map[string]string{"api": stringConsts(t, "admin/api"), "keys": stringConsts(t, "keys")}
	for name, value := range elsewhere["api"] {
		if strings.HasPrefix(name, "Code") {
			note(value, "")
		}
	}
	for _, dir := range []string{"middleware", "middleware/ginauth", "middleware/mcpauth", "middleware/mcphttp", "middleware/internal/mcpfront", "internal/base/restapi", "internal/app/server", "internal/app/guardproxy", "internal/app/stdio", "admin/server", "verifyapi"} {
		own := stringConsts(t, dir)
		for _, file := range sources(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				var parts []ast.Expr
				switch n := n.(type) {
				case *ast.CompositeLit:
					if id, ok := n.Type.(*ast.SelectorExpr); ok && id.Sel.Name == "Decision" {
						return true // an outcome, which is translated elsewhere
					}
					parts = n.Elts
				case *ast.CallExpr:
					parts = n.Args
				}
				var code, status string
				for _, part := range parts {
					named := false
					if kv, ok := part.(*ast.KeyValueExpr); ok {
						key, _ := kv.Key.(*ast.Ident)
						named = key != nil && strings.EqualFold(key.Name, "code")
						part = kv.Value
					}
					if c := codeOf(part, named, own, elsewhere); c != "" {
						code = c
					}
					if s := statusOf(part); s != "" {
						status = s
					}
				}
				if code != "" {
					note(code, status)
				}
				return true
			})
		}
	}
	out := map[string]string{}
	for code, statuses := range found {
		out[code] = strings.Join(slices.Sorted(maps.Keys(statuses)), ", ")
	}
	return out
}

// codeOf reads a code: a constant of another package or, if named says so, a literal or a
// constant of its own package.
func codeOf(e ast.Expr, named bool, own map[string]string, elsewhere map[string]map[string]string) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		if from, ok := e.X.(*ast.Ident); ok && from.Name == "api" && strings.HasPrefix(e.Sel.Name, "Code") {
			return elsewhere["api"][e.Sel.Name]
		}
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); named && err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.Ident:
		if named {
			return own[e.Name]
		}
	case *ast.CallExpr: // string(keys.CodeRateLimited)
		if len(e.Args) != 1 || !named {
			return ""
		}
		if s, ok := e.Args[0].(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "Code") {
			return elsewhere["keys"][s.Sel.Name]
		}
	}
	return ""
}

// statusOf reads http.StatusNotFound as 404.
func statusOf(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if from, ok := s.X.(*ast.Ident); !ok || from.Name != "http" {
		return ""
	}
	for n := 400; n < 600; n++ {
		if text := http.StatusText(n); text != "" && "Status"+strings.ReplaceAll(text, " ", "") == s.Sel.Name {
			return strconv.Itoa(n)
		}
	}
	return ""
}

// rpcCodes are the numbers of JSON-RPC errors that are our own.
func rpcCodes(t *testing.T) map[string]string {
	out := map[string]string{}
	for _, file := range sources(t, "middleware/internal/mcppolicy") {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "ending" {
					number := ""
					for _, elt := range n.Elts {
						if kv, ok := elt.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "status" {
							number = "-31" + kv.Value.(*ast.BasicLit).Value
						}
					}
					out[number] = ""
				}
			case *ast.ValueSpec:
				if n.Names[0].Name == "CodeRateLimited" {
					out["-"+n.Values[0].(*ast.UnaryExpr).X.(*ast.BasicLit).Value] = ""
				}
			}
			return true
		})
	}
	return out
}

// exitCodes are the exit codes of keyctl, and the words with their numbers.
func exitCodes(t *testing.T) map[string]string {
	out, numbers := map[string]string{}, map[string]string{}
	for _, file := range sources(t, "cmd/keyctl") {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				if lit, ok := firstLit(v, token.INT); ok && strings.HasPrefix(v.Names[0].Name, "exit") {
					numbers[v.Names[0].Name] = lit
					out[lit] = ""
				}
			}
		}
	}
	for _, file := range sources(t, "cmd/keyctl") {
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CompositeLit)
			if !ok || len(c.Elts) != 2 {
				return true
			}
			if id, ok := c.Type.(*ast.Ident); !ok || id.Name != "outcome" {
				return true
			}
			exit, _ := c.Elts[0].(*ast.Ident)
			word, _ := c.Elts[1].(*ast.BasicLit)
			if exit == nil || word == nil {
				t.Errorf("an outcome of cmd/keyctl that this test cannot read: %v", c.Elts)
				return true
			}
			if text, _ := strconv.Unquote(word.Value); text != "" {
				out[text] = numbers[exit.Name]
			}
			return true
		})
	}
	return out
}

// stringConsts are the constants of a package whose value is a literal, by name.
func stringConsts(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	for _, file := range sources(t, dir) {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				if lit, ok := firstLit(v, token.STRING); ok {
					out[v.Names[0].Name], _ = strconv.Unquote(lit)
				}
			}
		}
	}
	return out
}

func firstLit(v *ast.ValueSpec, kind token.Token) (string, bool) {
	if len(v.Values) != 1 {
		return "", false
	}
	lit, ok := v.Values[0].(*ast.BasicLit)
	if !ok || lit.Kind != kind {
		return "", false
	}
	return lit.Value, true
}

// sources parses the files of a folder that are not tests, whatever system they are for.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no source in %s: %v", dir, err)
	}
	var out []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, file)
	}
	return out
}

// withoutFix are the rows that need no fix.
var withoutFix = []string{"valid", "0", "130"}

var (
	quotedCell = regexp.MustCompile("^`([^`]+)`$")
	cellEdge   = regexp.MustCompile(`\s*\|\s*`)
)

// pageTables reads the tables of a page by their section: the first column, if it is in
// backquotes, and the second.
func pageTables(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	out, section := map[string]map[string]string{}, ""
	for i, line := range strings.Split(string(text), "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = heading
			out[section] = map[string]string{}
			continue
		}
		cells := cellEdge.Split(strings.Trim(line, "| "), -1)
		if !strings.HasPrefix(line, "|") || len(cells) < 2 {
			continue
		}
		code := quotedCell.FindStringSubmatch(cells[0])
		if code == nil {
			continue
		}
		if _, twice := out[section][code[1]]; twice {
			t.Errorf("%s:%d: a second row for %s", name, i+1, code[1])
		}
		out[section][code[1]] = cells[1]
		if strings.HasSuffix(line, "| |") && !slices.Contains(withoutFix, code[1]) {
			t.Errorf("%s:%d: %s has no fix", name, i+1, code[1])
		}
	}
	return out
}
