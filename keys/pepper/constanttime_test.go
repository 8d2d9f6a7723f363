package pepper_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// function returns the body of a function or method of digest.go.
func function(t *testing.T, name string) *ast.BlockStmt {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "digest.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return f.Body
		}
	}
	t.Fatalf("digest.go has no function %s; name the one that took its place here", name)
	return nil
}

// calls reports whether the code calls a function or method of that name.
func calls(n ast.Node, name string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == name {
				found = true
			}
		}
		return true
	})
	return found
}

// The attack: the time of a comparison shows how many bytes of a digest were right, or
// which of two secrets was. Timing tests are not reliable, so this one reads the code:
// a digest is compared by crypto/subtle and nothing else, all secrets of a key are
// compared whatever the first one said, and an unknown id is digested and compared too.
func TestDigestsAreComparedInConstantTime(t *testing.T) {
	equal := function(t, "Equal")
	result, ok := equal.List[0].(*ast.ReturnStmt)
	if !ok || len(equal.List) != 1 || !calls(equal, "ConstantTimeCompare") {
		t.Fatal("Digest.Equal: want one return of what subtle.ConstantTimeCompare says")
	}
	compared, ok := result.Results[0].(*ast.BinaryExpr)
	if _, direct := compared.X.(*ast.CallExpr); !ok || !direct || compared.Op != token.EQL {
		t.Error("Digest.Equal: want subtle.ConstantTimeCompare(…) == 1 and no other comparison")
	}

	verify := function(t, "Verify")
	loops := 0
	ast.Inspect(verify, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok {
			return true
		}
		loops++
		ast.Inspect(loop.Body, func(n ast.Node) bool {
			switch s := n.(type) {
			case *ast.ReturnStmt:
				t.Error("Peppers.Verify returns from its loop: the time would tell which secret was right")
			case *ast.BranchStmt:
				if s.Tok != token.CONTINUE {
					t.Errorf("Peppers.Verify leaves its loop by %s: the time would tell which secret was right", s.Tok)
				}
			}
			return true
		})
		return false
	})
	if loops != 1 {
		t.Errorf("Peppers.Verify: got %d loops over the secrets, want 1", loops)
	}
	unknown, ok := verify.List[1].(*ast.IfStmt)
	if !ok || !calls(unknown, "digest") || !calls(unknown, "Equal") {
		t.Error("Peppers.Verify of an unknown id: want a digest and a comparison, as for a known one")
	}
}
