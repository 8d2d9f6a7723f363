package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A program outside cannot name a type of an internal package, so it could not call a
// function that takes one.
func TestSignaturesNeedNoInternalType(t *testing.T) {
	for _, p := range public(t) {
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f := parse(t, p, file, parser.SkipObjectResolution)
			for _, name := range internalTypes(f) {
				t.Errorf("%s/%s: an exported signature needs %s", p.path(), file, name)
			}
		}
	}
}

func TestInternalTypesAreFound(t *testing.T) {
	for source, want := range map[string]int{
		"func Mount(a *restapi.API) {}":                     1,
		"func mount(a *restapi.API) {}":                     0,
		"func (s *Server) On() restapi.API { return x }":    1,
		"func (s *server) On() restapi.API { return x }":    0,
		"type O struct { A *restapi.API; b *restapi.API }":  1,
		"type O struct { restapi.API }":                     1,
		"type I interface { Do(map[string][]restapi.API) }": 1,
		"type F func() restapi.API":                         1,
		"const Lease = restapi.Lease":                       0,
		"var Default *restapi.API":                          1,
		"func Do() { var a restapi.API; _ = a }":            0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "", "package p\nimport \"example.org/internal/restapi\"\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := internalTypes(f); len(got) != want {
			t.Errorf("%s: found %v, want %d", source, got, want)
		}
	}
}

// internalTypes returns the types of internal packages that the file's exported
// declarations name.
func internalTypes(f *ast.File) (found []string) {
	internal := map[string]bool{}
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		internal[name] = strings.Contains("/"+imported+"/", "/internal/")
	}
	var look func(n ast.Node) bool
	look = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] {
				found = append(found, x.Name+"."+n.Sel.Name)
			}
		case *ast.StructType:
			for _, field := range n.Fields.List {
				if len(field.Names) == 0 || field.Names[0].IsExported() {
					ast.Inspect(field.Type, look)
				}
			}
			return false
		}
		return true
	}
	for _, d := range f.Decls {
		for _, signature := range signatures(d) {
			ast.Inspect(signature, look)
		}
	}
	return found
}

// signatures returns what is to be named to use the exported parts of d.
func signatures(d ast.Decl) (list []ast.Node) {
	if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() && isOfExported(f.Recv) {
		return []ast.Node{f.Type}
	}
	g, ok := d.(*ast.GenDecl)
	if !ok {
		return nil
	}
	for _, spec := range g.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				list = append(list, s.Type)
			}
		case *ast.ValueSpec:
			if s.Names[0].IsExported() && s.Type != nil {
				list = append(list, s.Type)
			}
		}
	}
	return list
}

// isOfExported reports whether a receiver is none, or of an exported type.
func isOfExported(receiver *ast.FieldList) bool {
	if receiver == nil {
		return true
	}
	exported := false
	ast.Inspect(receiver.List[0].Type, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		exported = exported || ok && id.IsExported()
		return !ok
	})
	return exported
}
