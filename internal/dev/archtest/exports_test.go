package archtest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the code says, to exports.txt and docs/security-cases.md, instead of comparing with it")

// How many names a package may export. A group of constants or variables counts as one, because
// it is one thing to learn. Wire types have one name for each thing that is sent.
const (
	namesOfKeys  = 100
	namesOfOther = 40
)

// Exported names are a promise to users, so a new or removed name shows in exports.txt: go test
// ./internal/dev/archtest -run Exports -update.
func TestExportsAreWanted(t *testing.T) {
	got := exports(t)
	if *update {
		if err := os.WriteFile("exports.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("exports.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	was, is := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("exports.txt has %q, the code does not", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("the code has %q, exports.txt does not", line)
		}
	}
}

func TestPackagesOfferFewNames(t *testing.T) {
	for _, p := range public(t) {
		most := namesOfOther
		switch p.path() {
		case "keys":
			most = namesOfKeys
		case "admin/api": // wire types
			continue
		}
		if names := names(t, p); len(names) > most {
			t.Errorf("%s offers %d names, want at most %d: %s", p.path(), len(names), most, strings.Join(names, " "))
		}
	}
}

// exports lists the names of each public package, a line each.
func exports(t *testing.T) string {
	var b strings.Builder
	for _, p := range public(t) {
		fmt.Fprintf(&b, "%s\n", p.path())
		for _, name := range names(t, p) {
			fmt.Fprintf(&b, "\t%s\n", name)
		}
	}
	return b.String()
}

// public are the packages that a program outside can import.
func public(t *testing.T) []*pkg {
	return slices.DeleteFunc(slices.Clone(load(t)), func(p *pkg) bool {
		return p.Name == "main" || strings.Contains("/"+p.path()+"/", "/internal/") || fits("examples/...", p.path()) || len(p.GoFiles)+len(p.CgoFiles) == 0
	})
}

// names are the package's exported functions, types, and groups of constants and
// variables, which go by their first name.
func names(t *testing.T, p *pkg) []string {
	var list []string
	for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
		for _, d := range parse(t, p, file, parser.SkipObjectResolution).Decls {
			list = append(list, declared(d)...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list) // a name may stand in one file for each system
}

func declared(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			return []string{"func " + d.Name.Name}
		}
	case *ast.GenDecl:
		return groups(d)
	}
	return nil
}

func groups(d *ast.GenDecl) []string {
	var list []string
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				list = append(list, "type "+s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && (d.Tok == token.VAR || d.Tok == token.CONST) {
					list = append(list, d.Tok.String()+" "+name.Name)
				}
			}
		}
	}
	if d.Tok != token.TYPE && len(list) > 1 {
		list = []string{strings.Join(list, ", "+d.Tok.String()+" ")}
		list[0] = strings.ReplaceAll(list[0], ", "+d.Tok.String()+" ", ", ")
	}
	return list
}
