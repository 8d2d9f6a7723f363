package readmetest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Snippets returns the Go text under root that a page may quote: the Example
// functions of every *_test.go, and the programs under examples/. Files with a
// build constraint stay out, because nothing says that they compile.
func Snippets(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, path, d)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		found, err := quotable(path, filepath.ToSlash(rel))
		out = append(out, found...)
		return err
	})
	return out, err
}

// skipDir passes over folders without source: hidden folders, testdata and built things.
func skipDir(root, path string, d fs.DirEntry) error {
	if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "node_modules") {
		return filepath.SkipDir
	}
	return nil
}

func quotable(path, rel string) ([]string, error) {
	isTest := strings.HasSuffix(rel, "_test.go")
	if !isTest && !strings.HasPrefix(rel, "examples/") {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.HasPrefix(text, []byte("//go:build")) || bytes.Contains(text, []byte("\n//go:build")) {
		return nil, err
	}
	if !isTest {
		return []string{words(string(text))}, nil
	}
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	var out []string
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") {
			out = append(out, words(string(text[files.Position(fn.Pos()).Offset:files.Position(fn.End()).Offset])))
		}
	}
	return out, nil
}

// Quotes reports whether a block's text stands in one of the snippets.
func Quotes(b Block, snippets []string) bool {
	text := words(strings.Join(b.Lines, "\n"))
	for _, s := range snippets {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

// words drops the spacing, which a page sets as its width allows.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
